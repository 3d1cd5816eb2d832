"""Types that share what they can: a common reward, a shift by type, and an interaction, each with its own scale.

    r(s, c, .) = u(s, .) + v(c, .) + h(s, c, .),     u ~ N(0, t_u^2),  v ~ N(0, t_v^2),  h ~ N(0, t_h^2)  (zero-sum)
    t_u, t_v, t_h ~ HalfNormal(scale_prior), or fixed;      c_a ~ w,      state ~ p(. | c_a)

A cell (state, type) nobody visited borrows ``u + v`` from its neighbours and keeps ``h`` at its prior: with a learned
``t_h`` the data say how far a type may stray from additivity, with a fixed one the analyst does. Data identify rewards
of visited cells; the split into parts, and every empty cell, is pooling. The parts are separate sites for that reason.

Scales and parts cannot be sampled as written: at a joint mode centred parts shrink to zero with their scale, and
non-centred ones push the scale up. Coordinates here are the parts divided by the standard deviation they would have
given the scale, had every comparison of a cell information ``curvature`` per label (a Gaussian stand-in for the
likelihood). In them the spread of the parts does not depend on the scale, so that the joint mode is the Laplace
approximation of the scales' marginal mode, and one Hessian whitens the posterior. The stand-in changes coordinates
only, never the model. In log-coordinates a half-normal density vanishes at zero, so the mode stays away from it.
"""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array

from bayespref.choice import ChoiceData, record_likelihood, zero_sum_basis
from bayespref.errors import ModelError
from bayespref.models.terms import add_prompts, answer_table, class_log_weights

PARTS = ("shared", "by_type", "interaction")


def pooled_types(
    data: ChoiceData,
    outcome=None,
    *,
    n_types=2,
    types_observed=False,
    endogenous_prompts=True,
    scales=(None, None, None),
    scale_prior=1.0,
    curvature=0.15,
    weight_concentration=5.0,
    prompt_concentration=1.0,
    type_weights="shared",
    prompts_by_environment=False,
    mix_scale=1.0,
    ties="davidson",
    tie_scale=1.5,
    both_bad_scale=1.5,
    position_effect=False,
    position_scale=1.0,
    decisiveness="none",
    decisiveness_scale=0.5,
    n_nodes=9,
):
    """Bradley-Terry-Luce rewards of types, partially pooled over states and types.

    Sites: ``reward``, its parts ``shared`` (u), ``by_type`` (v), ``interaction`` (h), and those of the standard
    deviations ``scale_shared``, ``scale_by_type``, ``scale_interaction`` that are learned.

    Parameters
    ----------
    data : ChoiceData
        Questions and records, from :func:`bayespref.choice.choice_data`.
    outcome : int array, shape (record,), optional
        Outcome columns; None simulates.
    n_types : int
        Number of types.
    types_observed : bool
        The context of a unit is its type (``n_types`` must equal the number of contexts).
    endogenous_prompts : bool
        Model p(state | type); switch off when the platform, not the annotator, chose what was asked.
    scales : sequence of three floats or None
        Standard deviations of u, v, h, log-odds per item; None is learned, a number (0 leaves the part out) is kept.
    scale_prior : float
        Scale of the half-normal prior of learned standard deviations.
    curvature : float
        Information per label assumed by the coordinates, in (0, 1/4]; changes speed, not the model.
    weight_concentration, prompt_concentration : float
        Dirichlet concentrations of type weights and prompt probabilities.
    type_weights : {"shared", "by_context", "by_environment"}
        Whether the mix of types depends on the annotator's context or environment.
    prompts_by_environment : bool
        Model p(state | type, environment); rewards stay shared.
    mix_scale : float
        Prior standard deviation of what a context or environment adds to a mix, log-odds.
    ties : {"davidson", "rao_kupper"} or None
        Model of ties; None refuses a table that has some.
    tie_scale, both_bad_scale : float
        Prior scales of the tie parameter and of the both-bad logit.
    position_effect : bool
        Add ``beta first``, ``beta ~ N(0, position_scale^2)``, to the difference; the table must name positions.
    position_scale : float
        Prior standard deviation of ``beta``, log-odds.
    decisiveness : {"none", "type", "annotator"}
        Inverse temperature: none, one a type, or one an annotator (summed out over ``n_nodes`` nodes).
    decisiveness_scale : float
        Prior scale of log-decisiveness; see :func:`bayespref.models.terms.answer_table`.
    n_nodes : int
        Quadrature nodes for ``decisiveness="annotator"``.

    Returns
    -------
    int array, shape (record,)
        Outcomes.

    Raises
    ------
    ModelError
        If a scale is negative or there are not three, types and contexts do not match, the table lacks a column that
        an option needs, or has ties and ``ties`` is None.
    """
    if len(scales) != len(PARTS) or any(scale is not None and not scale >= 0 for scale in scales):
        raise ModelError(f"scales: must be three numbers >= 0 or None (for {', '.join(PARTS)}), got {scales!r}")
    if not 0 < curvature <= 0.25:
        raise ModelError(f"curvature: must lie in (0, 1/4], got {curvature}")
    if types_observed and data.n_groups != n_types:
        raise ModelError(f"n_types: observed types need one type a context: {data.n_groups} contexts, {n_types} types")
    spread = tuple(
        numpyro.sample(f"scale_{part}", dist.HalfNormal(scale_prior))
        if scale is None
        else jnp.asarray(scale, dtype=float)
        for part, scale in zip(PARTS, scales, strict=True)
    )
    asked = data.asked if types_observed else jnp.broadcast_to(data.asked.sum(0) / n_types, (n_types, data.n_questions))
    shared, by_type, interaction = _parts(spread, curvature * _exposure(asked, data))
    basis = jnp.asarray(zero_sum_basis(data.n_items)).T
    numpyro.deterministic("shared", shared @ basis)
    numpyro.deterministic("by_type", by_type @ basis)
    numpyro.deterministic("interaction", interaction @ basis)
    reward = (shared[:, None] + by_type + interaction) @ basis
    numpyro.deterministic("reward", reward)
    difference = (reward[data.state, :, data.item_a] - reward[data.state, :, data.item_b]).T
    table, log_node = answer_table(
        difference,
        data,
        ties=ties,
        tie_scale=tie_scale,
        both_bad_scale=both_bad_scale,
        position_effect=position_effect,
        position_scale=position_scale,
        decisiveness=decisiveness,
        decisiveness_scale=decisiveness_scale,
        n_nodes=n_nodes,
    )
    by_group = class_log_weights(
        data,
        n_types,
        weight_concentration,
        observed=types_observed,
        type_weights=type_weights,
        mix_scale=mix_scale,
        log_node=log_node,
    )
    if endogenous_prompts:
        table = add_prompts(
            table, data, n_types, prompt_concentration, by_environment=prompts_by_environment, mix_scale=mix_scale
        )
    return record_likelihood(table, by_group, data, outcome)


def _exposure(asked, data: ChoiceData):
    """Squared contrast of each zero-sum direction summed over the comparisons of a cell, (state, type, direction)."""
    basis = jnp.asarray(zero_sum_basis(data.n_items))
    squared = (basis[data.item_a] - basis[data.item_b]) ** 2
    weighted = asked.T[:, :, None] * squared[:, None, :]
    return jax.ops.segment_sum(weighted, data.state, num_segments=data.n_states)


def _parts(spread: tuple[Array, ...], information: Array) -> tuple[Array, Array, Array]:
    """Sample u (state, direction), v (type, direction), h (state, type, direction) in whitened coordinates.

    With information I on each cell's sum the stand-in posterior factors as p(v) p(u | v) p(h | u, v): h given the rest
    has relative precision 1 + t_h^2 I; with h integrated, the information on u + v is J = I / (1 + t_h^2 I); and so on.
    """
    t_u, t_v, t_h = spread
    a = 1.0 + t_h**2 * information
    left = information / a
    b = 1.0 + t_u**2 * left.sum(1)
    n_types = information.shape[1]
    own = jnp.eye(n_types) * left.sum(0).T[:, :, None]
    crossed = jnp.einsum("skj,slj,sj->jkl", left, left, t_u**2 / b)
    lower = jnp.linalg.cholesky(jnp.eye(n_types) + t_v**2 * (own - crossed))
    upper = jnp.swapaxes(lower, 1, 2)
    law = dist.MultivariateNormal(
        jnp.zeros(n_types), scale_tril=jnp.linalg.cholesky(upper @ lower), validate_args=False
    )
    x_v = numpyro.sample("x_by_type", law.to_event(1))
    v = t_v * jax.scipy.linalg.solve_triangular(upper, x_v[:, :, None], lower=False)[:, :, 0].T
    pull = t_u * jnp.einsum("skj,kj->sj", left, v)
    x_u = numpyro.sample("x_shared", dist.Normal(pull / jnp.sqrt(b), jnp.sqrt(b)).to_event(2))
    u = t_u * (x_u / jnp.sqrt(b) - pull / b)
    pull = t_h * information * (u[:, None] + v)
    x_h = numpyro.sample("x_interaction", dist.Normal(pull / jnp.sqrt(a), jnp.sqrt(a)).to_event(3))
    return u, v, t_h * (x_h / jnp.sqrt(a) - pull / a)
