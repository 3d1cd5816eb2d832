"""Refit a fitted model to other people and under other priors, to see whose their agreement is."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from bayespref import __version__
from bayespref.checks import at_least
from bayespref.choice import choice_data
from bayespref.dims import ANNOTATOR, CHAIN, DRAW, ITEM, STATE, TYPE
from bayespref.disagree.ensemble import agreement_dataset, ensemble_agreement
from bayespref.errors import ModelError
from bayespref.fit.density import make_density
from bayespref.fit.laplace import refit_modes, reweighted
from bayespref.models import MODELS
from bayespref.posterior.tree import tree_comparisons, tree_meta


def refits(tree: xr.DataTree, *, rng_key: int, n: int = 20, tolerance: float = 0.05) -> xr.Dataset:
    """Refit n times under the fit's own prior and n times under priors of their own, and compare.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit of a model in ``bayespref.models``. It is not changed.
    rng_key : int
        Seed.
    n : int
        Refits of each kind, at least 2. Each pair of refits sees the same reweighted people (Bayesian bootstrap); in
        the second of each pair the prior's centre is a draw from the prior.
    tolerance : float
        Refits agree where at most this share of their pairs disagrees on the sign of a contrast.

    Returns
    -------
    Dataset
        Per contrast, see :class:`bayespref.disagree.ensemble.EnsembleAgreement`; ``reward_same_prior`` and
        ``reward_resampled_prior`` over (refit, state, type, item); the verdict in words in ``attrs["statement"]``.

    Raises
    ------
    ModelError
        If the tree's model is not one of ``bayespref.models``, or a refit did not reach a mode.

    Notes
    -----
    Refits are posterior modes. Latent types start from the fit's best draw, so that types keep their names; other modes
    of the mixture are not searched.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> from bayespref.workflow import fit
    >>> asked = np.repeat([0, 2], 40), np.repeat([1, 3], 40), np.tile([0, 0, 0, 1], 20)
    >>> tree = fit("single", from_codes(*asked, items=("w", "x", "y", "z")), rng_key=0, draws=50, progress=False)
    >>> two = refits(tree, rng_key=0).isel(state=0, type=0)["agreement_is_from_prior"]
    >>> bool(two.sel(item="w", item_other="x")), bool(two.sel(item="w", item_other="y"))
    (False, False)
    """
    at_least("n", n, 2)
    meta = tree_meta(tree)
    if meta["model"] not in MODELS:
        raise ModelError(f"model: {meta['model']!r} is not one of {sorted(MODELS)}; refits need its function")
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in meta["options"].items()}
    observed = bool(options.get("types_observed", False))
    n_types = tree["posterior"].sizes[TYPE]
    people = {"group_by_context": observed, "latent": not observed and n_types > 1}
    if options.get("decisiveness", "none") != "none" or meta["model"] == "latent_traits":
        people["latent"] = True  # answers of one person hang together, so they must not be added up over people
    with jax.enable_x64(True):
        stack = reweighted(tree_comparisons(tree), n, seed=rng_key, **people)
        density = make_density(MODELS[meta["model"]], stack.data, options)
        fitted, _ = choice_data(tree_comparisons(tree), group_by_context=observed)
        start = _best_draw(tree, np.asarray(fitted.multiplicity))
        twice = stack.take(np.tile(np.arange(n), 2))
        moves = np.repeat([0.0, 1.0], n)
        modes = refit_modes(density, twice, rng_key=jax.random.key(rng_key), start=start, prior_moves=moves)
    lost = int((~np.isfinite(modes["reward"]).all(axis=(1, 2, 3))).sum())
    if lost:
        raise ModelError(f"refits: {lost} of {2 * n} did not reach a mode; give the model a tighter prior")
    order = _type_order(modes["reward"][:n].mean(0), tree["fit"]["mode_reward"].transpose(STATE, TYPE, ITEM).values)
    one, other = modes["reward"][:n, :, order], modes["reward"][n:, :, order]
    move = (modes["centre"][n:] - modes["centre"][:n])[:, :, order]
    found = ensemble_agreement(one, other, move, tolerance=tolerance)
    posterior = tree["posterior"].to_dataset()
    labels = {name: [str(label) for label in posterior[name].values] for name in (STATE, TYPE, ITEM)}
    result = agreement_dataset(
        found,
        labels,
        method="posterior modes of paired refits: people reweighted, prior's centre kept or drawn from the prior",
        n_refits=n,
        tolerance=tolerance,
        seed=rng_key,
        version=__version__,
        data_hash=meta["data_hash"],
    )
    result["reward_same_prior"] = (("refit", STATE, TYPE, ITEM), one)
    result["reward_resampled_prior"] = (("refit", STATE, TYPE, ITEM), other)
    return result


def _best_draw(tree: xr.DataTree, copies: Float[np.ndarray, " unit"]) -> jax.Array:
    """Unconstrained coordinates of the draw that predicts the table best; a unit counts as often as it occurred."""
    label = tree["log_likelihood"].to_dataset()["label"]
    draws = tree["unconstrained_posterior"].to_dataset()["flat"].sel({DRAW: label[DRAW].values})
    flat = draws.stack(sample=(CHAIN, DRAW)).transpose("sample", "coordinate").values
    terms = label.stack(sample=(CHAIN, DRAW)).transpose("sample", ANNOTATOR).values
    return jnp.asarray(flat[np.argmax(terms @ copies)])


def _type_order(
    found: Float[np.ndarray, "state type item"], wanted: Float[np.ndarray, "state type item"]
) -> Int[np.ndarray, " type"]:
    """Which type of a refit is which type of the fit: the permutation that moves rewards least."""
    apart = np.square(found[:, :, None] - wanted[:, None]).sum(axis=(0, 3))
    theirs, ours = linear_sum_assignment(apart)
    return np.asarray(theirs[np.argsort(ours)])
