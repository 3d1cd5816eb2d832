"""Latent types with rewards linear in item attributes.

    r(c, a) = w_c' phi(a),      w_cf ~ N(0, (reward_scale / sd_f)^2),      c_u ~ w

``sd_f`` is the standard deviation of attribute f's difference over the questions, so that the prior does not depend on
units of measurement. Identified: contrasts in the row space of the attribute differences that were compared, up to a
relabelling of types. Contrasts across components of the comparison graph are identified by linearity alone.
"""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from bayespref.choice import ChoiceData, record_likelihood
from bayespref.errors import ModelError
from bayespref.models.terms import answer_table, class_log_weights


def linear_types(
    data: ChoiceData,
    outcome=None,
    *,
    n_types=2,
    types_observed=False,
    reward_scale=1.0,
    weight_concentration=5.0,
    type_weights="shared",
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
    type_weights : {"shared", "by_context", "by_environment"}
        Whether the mix of types depends on the annotator's context or environment.
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
        If the table lacks a column that an option needs, or has ties and ``ties`` is None.
        If the items have no features, or a feature never differs between compared items.
    """
    if data.features is None:
        raise ModelError("features: linear_types needs item features; name them when reading the table")
    contrast = data.features[data.item_a] - data.features[data.item_b]
    spread = jnp.sqrt((contrast**2).mean(0))
    if not isinstance(spread, jax.core.Tracer) and not bool((spread > 0).all()):
        raise ModelError("features: a feature never differs between compared items, so nothing can be said about it")
    n_features = data.features.shape[1]
    z = numpyro.sample("z", dist.Normal(0.0, reward_scale).expand((n_types, n_features)).to_event(2))
    coefficient = numpyro.deterministic("coefficient", z / spread)
    reward = coefficient @ (data.features - data.features.mean(0)).T
    numpyro.deterministic("reward", jnp.broadcast_to(reward, (data.n_states, *reward.shape)))
    difference = coefficient @ contrast.T
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
    return record_likelihood(table, by_group, data, outcome)
