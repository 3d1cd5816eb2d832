"""Partial identification: sharp bounds, regret games, structure, sensitivity, latent types.

Names resolve on first use. The verb of the stage has its name: ``bayespref.bounds.bounds(tree, assumptions)`` writes
the group ``bounds`` of a tree under declared assumptions. (``breakdown`` is in ``bounds.structure``, for a module has
its name here.)
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "certificates": ["policy_lower_bound", "two_world_certificate"],
        "coupled": ["coupled_minimax_regret", "linear_bounds"],
        "evidence": ["Evidence", "evidence_of_estimate", "evidence_of_tree"],
        "identifiability": ["local_identifiability"],
        "identified": ["difference_bounds", "level_bounds"],
        "interval": ["robust_credible_region", "set_of_means"],
        "labelled": ["assume", "bounds", "sweep"],
        "mixture": ["mean_difference", "target_preference"],
        "regret": ["maximin", "minimax_regret", "regret_matrix"],
        "sensitivity": ["breakdown_gamma", "density_ratio", "gamma_min", "odds_tilt"],
        "structure": ["additive", "propagate"],
        "welfare": ["welfare_bounds"],
    },
)
