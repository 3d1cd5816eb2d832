"""Latent types with rewards linear in item attributes.

    r(c, a) = w_c' phi(a),      w_cf ~ N(0, (reward_scale / sd_f)^2),      c_u ~ w

``sd_f`` is the standard deviation of attribute f's difference over the questions, so that the prior does not depend on
units of measurement. Identified: contrasts in the row space of the attribute differences that were compared, up to a
relabelling of types. Contrasts across components of the comparison graph are identified by linearity alone.
"""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from bayespref.choice import ChoiceData, outcome_log_prob, record_likelihood, tie_logits, type_log_weights
from bayespref.errors import ModelError


def linear_types(
    data: ChoiceData,
    outcome=None,
    *,
    n_types=2,
    types_observed=False,
    reward_scale=1.0,
    weight_concentration=5.0,
    tie_scale=1.5,
    both_bad_scale=1.5,
):
    """Mixture of linear Bradley-Terry-Luce rewards over latent annotator types.

    Parameters
    ----------
    data : ChoiceData
        Questions and records with item ``features``.
    outcome : int array, shape (record,), optional
        Outcome columns; None simulates.
    n_types : int
        Number of types.
    types_observed : bool
        The context of a unit is its type.
    reward_scale : float
        Prior standard deviation of a coefficient per standard deviation of the attribute difference, log-odds.
    weight_concentration : float
        Dirichlet concentration of type weights.
    tie_scale, both_bad_scale : float
        Prior standard deviation of the tie and both-bad logits.

    Returns
    -------
    int array, shape (record,)
        Outcomes.

    Raises
    ------
    ModelError
        If the items have no features, or a feature never differs between compared items.
    """
    if data.features is None:
        raise ModelError("features: linear_types needs item features; name them when reading the table")
    contrast = data.features[data.item_a] - data.features[data.item_b]
    spread = jnp.sqrt((contrast**2).mean(0))
    spread = jnp.where(spread > 0, spread, 1.0)
    n_features = data.features.shape[1]
    z = numpyro.sample("z", dist.Normal(0.0, reward_scale).expand((n_types, n_features)).to_event(2))
    coefficient = numpyro.deterministic("coefficient", z / spread)
    reward = coefficient @ (data.features - data.features.mean(0)).T
    numpyro.deterministic("reward", jnp.broadcast_to(reward, (data.n_states, *reward.shape)))
    log_tie, log_bad = tie_logits(data, tie_scale=tie_scale, both_bad_scale=both_bad_scale)
    _, by_group = type_log_weights(n_types, weight_concentration, observed=types_observed, n_groups=data.n_groups)
    difference = coefficient @ contrast.T
    table = outcome_log_prob(difference, data.outcomes, log_tie=log_tie, log_both_bad=log_bad)
    return record_likelihood(table, by_group, data, outcome)
