"""Terms that models share: ties, order shown, decisiveness, mixes by context or environment, prompts.

Each option is a few sites a model adds to its own equation. Types may be split into *classes* by Gauss-Hermite nodes
(Bock & Aitkin 1981, Psychometrika 46, 443-459): classes run over (type, node), every unit has one class, and classes
are summed out like types. An integral over N(0, 1) becomes a sum over nodes; the error falls as nodes are added.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array

from bayespref.checks import one_of
from bayespref.choice import (
    ChoiceData,
    ZeroSumDirichlet,
    log_probabilities,
    outcome_log_prob,
    tie_logits,
    type_log_weights,
)
from bayespref.dims import A_WINS, B_WINS, BOTH_BAD, TIE
from bayespref.errors import ModelError

TIES = ("davidson", "rao_kupper")
DECISIVENESS = ("none", "type", "annotator")
TYPE_WEIGHTS = ("shared", "by_context", "by_environment")


class Nodes(NamedTuple):
    """Quadrature nodes of N(0, I).

    Attributes
    ----------
    value : float array, shape (node, trait)
        Where.
    log_weight : float array, shape (node,)
        Log of the weights, which sum to one.
    """

    value: np.ndarray
    log_weight: np.ndarray


def hermite_nodes(n_nodes: int, n_traits: int = 1) -> Nodes:
    """Gauss-Hermite product nodes of a standard normal vector.

    Parameters
    ----------
    n_nodes : int
        Nodes per trait; polynomials up to degree ``2 n_nodes - 1`` are integrated exactly.
    n_traits : int
        Length of the vector.

    Returns
    -------
    Nodes
        ``n_nodes ** n_traits`` nodes.

    Raises
    ------
    ModelError
        If ``n_nodes`` is below 1 or above 150 (where weights underflow).

    Examples
    --------
    >>> nodes = hermite_nodes(3)
    >>> nodes.value[:, 0].round(4).tolist(), np.exp(nodes.log_weight).round(4).tolist()
    ([-1.7321, 0.0, 1.7321], [0.1667, 0.6667, 0.1667])
    """
    if not 1 <= n_nodes <= 150:
        raise ModelError(f"n_nodes: must lie in [1, 150], got {n_nodes}")
    node, weight = np.polynomial.hermite_e.hermegauss(n_nodes)
    log_weight = np.log(weight / weight.sum())
    grids = np.meshgrid(*[node] * n_traits, indexing="ij")
    weights = np.meshgrid(*[log_weight] * n_traits, indexing="ij")
    return Nodes(np.stack([grid.ravel() for grid in grids], axis=1), sum(one.ravel() for one in weights))


def answer_table(
    difference,
    data: ChoiceData,
    *,
    nodes=None,
    ties="davidson",
    tie_scale=1.5,
    both_bad_scale=1.5,
    position_effect=False,
    position_scale=1.0,
    decisiveness="none",
    decisiveness_scale=0.5,
    n_nodes=9,
):
    """Log-probability of every outcome of every question, by class, with the options asked for.

    The argument of the choice probabilities is ``kappa d + beta first``: ``d`` the reward difference, ``kappa`` the
    decisiveness, ``first`` +1 or -1 as item_a or item_b was shown first (0 where unknown). The position effect is a
    habit of the hand, not a taste, so decisiveness does not scale it.

    Parameters
    ----------
    difference : float array, shape (type, question) or (type, node, question)
        Reward differences r(a) - r(b), log-odds.
    data : ChoiceData
        Questions and records.
    nodes : Nodes, optional
        What the second axis of ``difference`` runs over.
    ties : {"davidson", "rao_kupper"} or None
        Model of ties where the table has some; None refuses them. See :func:`rao_kupper_log_prob`.
    tie_scale : float
        Prior standard deviation of Davidson's tie logit (site ``log_tie``), or scale of the half-normal prior of
        Rao and Kupper's threshold (site ``tie_threshold``).
    both_bad_scale : float
        Prior standard deviation of the both-bad logit.
    position_effect : bool
        Add ``beta first``, ``beta ~ N(0, position_scale^2)`` (site ``position_effect``).
    position_scale : float
        Prior standard deviation of ``beta``, log-odds.
    decisiveness : {"none", "type", "annotator"}
        Inverse temperature: none; one a type, ``log kappa ~ N(0, decisiveness_scale^2)``; or one an annotator,
        ``log kappa ~ N(0, s^2)`` with ``s`` half-normal of scale ``decisiveness_scale``, summed out over nodes.
        The product of ``kappa`` and the rewards is what data see: their separate sizes are fixed by the priors alone.
    decisiveness_scale : float
        Prior scale, see above.
    n_nodes : int
        Nodes per type for ``decisiveness="annotator"``.

    Returns
    -------
    table : float array, shape (class, question, outcome)
        Log-probabilities; classes run over (type, node).
    log_node : float array, shape (node,), or None
        Log-weight of the classes within a type; None where every type is one class.

    Raises
    ------
    ModelError
        If the table has ties and ``ties`` is None, or has no positions and ``position_effect`` is asked for.
    """
    one_of("decisiveness", decisiveness, DECISIVENESS)
    if ties is not None:
        one_of("ties", ties, TIES)
    if difference.ndim == 2:
        difference = difference[:, None]
    n_types = difference.shape[0]
    log_node = None if nodes is None else jnp.asarray(nodes.log_weight)
    tied = _tie_parameters(data, ties, tie_scale, both_bad_scale)
    if decisiveness == "type":
        size = dist.Normal(0.0, decisiveness_scale).expand((n_types,)).to_event(1)
        kappa = numpyro.deterministic("type_decisiveness", jnp.exp(numpyro.sample("log_decisiveness", size)))
        difference = kappa[:, None, None] * difference
    elif decisiveness == "annotator":
        own = hermite_nodes(n_nodes)
        spread = numpyro.sample("decisiveness_spread", dist.HalfNormal(decisiveness_scale))
        log_kappa = spread * jnp.asarray(own.value[:, 0])
        rows = difference.shape[1]
        difference = (difference[:, :, None] * jnp.exp(log_kappa)[:, None]).reshape(n_types, rows * n_nodes, -1)
        weight = jnp.zeros(1) if log_node is None else log_node
        log_node = (weight[:, None] + jnp.asarray(own.log_weight)).reshape(-1)
        numpyro.deterministic("class_log_decisiveness", jnp.tile(log_kappa, n_types * rows))
    if position_effect:
        if not data.positions:
            raise ModelError("position: position_effect needs the order shown, and no row of the table says it")
        beta = numpyro.sample("position_effect", dist.Normal(0.0, position_scale))
        difference = difference + beta * data.first
    if log_node is not None:
        numpyro.deterministic("class_type", jnp.repeat(jnp.arange(n_types), len(log_node)))
        if nodes is not None:
            each = len(log_node) // len(nodes.value)
            numpyro.deterministic("class_trait", jnp.asarray(np.repeat(nodes.value, each, axis=0)))
    return tied(difference.reshape(-1, data.n_questions)), log_node


def _tie_parameters(data: ChoiceData, ties, tie_scale, both_bad_scale):
    """Sample what the outcomes need; return the function from differences to log-probabilities."""
    if ties is None and TIE in data.outcomes:
        raise ModelError(
            "ties: the table has ties and ties=None models none; choose ties='davidson' or 'rao_kupper', or settle the "
            "ties before reading the table"
        )
    if ties == "rao_kupper" and TIE in data.outcomes:
        threshold = numpyro.sample("tie_threshold", dist.HalfNormal(tie_scale))
        bad = numpyro.sample("log_both_bad", dist.Normal(0.0, both_bad_scale)) if BOTH_BAD in data.outcomes else 0.0
        return lambda d: rao_kupper_log_prob(d, data.outcomes, threshold=threshold, log_both_bad=bad)
    log_tie, log_bad = tie_logits(data, tie_scale=tie_scale, both_bad_scale=both_bad_scale)
    return lambda d: outcome_log_prob(d, data.outcomes, log_tie=log_tie, log_both_bad=log_bad)


def rao_kupper_log_prob(difference: Array, outcomes: tuple[int, ...], *, threshold, log_both_bad=0.0) -> Array:
    """Log-probability of each outcome where a win needs a margin (Rao & Kupper 1967, JASA 62, 194-204, eq. 2.1).

    ``P(a) = sigmoid(d - theta)``, ``P(b) = sigmoid(-d - theta)``, a tie otherwise. "Both bad" comes first, with the
    probability it has where the table knows no ties, ``exp(log_both_bad)`` against ``2 cosh(d / 2)``; the rest is
    shared out as above.

    Parameters
    ----------
    difference : float array
        r(a) - r(b), log-odds.
    outcomes : tuple of int
        Outcome codes to allow, in column order.
    threshold : float
        theta > 0, log-odds.
    log_both_bad : float
        Logit of both-bad.

    Returns
    -------
    float array
        One more axis than ``difference``: log-probabilities, nats.

    Examples
    --------
    >>> p = jnp.exp(rao_kupper_log_prob(jnp.array([0.0]), (0, 1, 2), threshold=jnp.log(2.0)))
    >>> [round(float(x), 4) for x in p[0]]
    [0.3333, 0.3333, 0.3333]
    """
    log_a = jax.nn.log_sigmoid(difference - threshold)
    log_b = jax.nn.log_sigmoid(-difference - threshold)
    log_expm1 = 2.0 * threshold + jnp.log(-jnp.expm1(-2.0 * threshold))
    logs = {A_WINS: log_a, B_WINS: log_b, TIE: log_expm1 + log_a + log_b}
    if BOTH_BAD in outcomes:
        half = 0.5 * difference
        others = jnp.logaddexp(half, -half)
        total = jnp.logaddexp(others, log_both_bad)
        logs = {code: value + others - total for code, value in logs.items()} | {BOTH_BAD: log_both_bad - total}
    return jnp.stack([logs[code] for code in outcomes], axis=-1)


def class_log_weights(
    data: ChoiceData, n_types, concentration, *, observed=False, type_weights="shared", mix_scale=1.0, log_node=None
):
    """Sample type weights, shared or by context or environment; return the log-prior of each class by group.

    Parameters
    ----------
    data : ChoiceData
        Questions and records.
    n_types : int
        Number of types.
    concentration : float
        Dirichlet concentration of the weights.
    observed : bool
        The group is the type.
    type_weights : {"shared", "by_context", "by_environment"}
        One mix for all; or, per context or environment g, zero-sum logits ``eta + delta_g`` with ``eta`` those of a
        Dirichlet and ``delta_g ~ N(0, mix_scale^2)`` (sites ``type_logit``, ``type_logit_shift``). The site
        ``type_weight`` is then the mix over the annotators of the table.
    mix_scale : float
        Prior standard deviation of a shift, log-odds.
    log_node : float array, shape (node,), optional
        Log-weights of classes within a type.

    Returns
    -------
    float array, shape (group, class)

    Raises
    ------
    ModelError
        If the column is absent, or varies within an annotator, or types are observed or a single one.
    """
    one_of("type_weights", type_weights, TYPE_WEIGHTS)
    if type_weights == "shared":
        return type_log_weights(n_types, concentration, observed=observed, n_groups=data.n_groups, log_node=log_node)[1]
    column = type_weights.removeprefix("by_")
    role, size, code = (
        (data.context_role, data.n_contexts, data.group_context)
        if column == "context"
        else (data.environment_role, data.n_environments, data.group_environment)
    )
    if observed or n_types == 1:
        raise ModelError(f"type_weights: '{type_weights}' needs several latent types; here the type is known")
    if role != "constant":
        found = "has no annotators or no such column" if role == "absent" else "has annotators with several"
        raise ModelError(f"{column}: type_weights='{type_weights}' needs one {column} an annotator; the table {found}")
    base = numpyro.sample("type_logit", ZeroSumDirichlet(concentration, n_types))
    shift = numpyro.sample("type_logit_shift", dist.Normal(0.0, mix_scale).expand((size, n_types - 1)).to_event(2))
    log_weight = log_probabilities(base + shift, n_types)
    numpyro.deterministic(f"type_weight_{type_weights}", jnp.exp(log_weight))
    by_group = log_weight[code]
    numpyro.deterministic("type_weight", data.group_size @ jnp.exp(by_group) / data.group_size.sum())
    if log_node is not None:
        by_group = (by_group[:, :, None] + log_node).reshape(data.n_groups, -1)
    return numpyro.deterministic("type_log_weight", by_group)


def add_prompts(table, data: ChoiceData, n_types, concentration, *, by_environment=False, mix_scale=1.0):
    """Add log p(state | type) to a table of answers, where there are several states: who asks decides what is asked.

    Parameters
    ----------
    table : float array, shape (class, question, outcome)
        Log-probabilities of outcomes; classes run over (type, node).
    data : ChoiceData
        Questions and records.
    n_types : int
        Number of types.
    concentration : float
        Dirichlet concentration of the prompt probabilities.
    by_environment : bool
        One distribution per environment, zero-sum logits shifted by ``N(0, mix_scale^2)`` (site
        ``prompt_logit_shift``); the site ``prompt_prob`` is then their mix over the answers of the table.
    mix_scale : float
        Prior standard deviation of a shift, log-odds.

    Returns
    -------
    float array, shape (class, question, outcome)

    Raises
    ------
    ModelError
        If prompts by environment are asked of a table without annotators or without environments.
    """
    if data.n_states == 1:
        return table
    with numpyro.plate("type_plate", n_types):
        coordinates = numpyro.sample("prompt_logit", ZeroSumDirichlet(concentration, data.n_states))
    if by_environment:
        if data.environment_role == "absent":
            raise ModelError("environment: prompts_by_environment needs annotators and an environment column")
        size = (data.n_environments, n_types, data.n_states - 1)
        shift = numpyro.sample("prompt_logit_shift", dist.Normal(0.0, mix_scale).expand(size).to_event(3))
        log_prompt = log_probabilities(coordinates + shift, data.n_states)
        numpyro.deterministic("prompt_prob_by_environment", jnp.exp(log_prompt))
        share = jax.ops.segment_sum(data.asked.sum(0), data.environment, num_segments=data.n_environments)
        numpyro.deterministic("prompt_prob", jnp.tensordot(share / share.sum(), jnp.exp(log_prompt), axes=1))
        by_question = log_prompt[data.environment, :, data.state].T
    else:
        log_prompt = log_probabilities(coordinates, data.n_states)
        numpyro.deterministic("prompt_prob", jnp.exp(log_prompt))
        by_question = log_prompt[:, data.state]
    return table + jnp.repeat(by_question, table.shape[0] // n_types, axis=0)[:, :, None]
