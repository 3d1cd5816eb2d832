"""Continuous traits: every annotator's taste is a common reward plus a few directions, each to their own degree.

    r_i(s, a) = r0(s, a) + sum_m z_im L_m(s, a),      z_i ~ N(0, I),      m = 1 or 2
    r0(s, .) = B z0(s, .),  z0 ~ N(0, reward_scale^2),      L_m(s, .) = B l_m(s, .),  l ~ N(0, loading_scale^2)

Traits are summed out over Gauss-Hermite product nodes (Bock & Aitkin 1981, Psychometrika 46, 443-459), so an annotator
has one node, shared by all labels. That is an approximation: fit again with twice the nodes and see whether anything
moves; many labels an annotator need many nodes (their spacing near zero is about pi / sqrt(n_nodes)). Identified: the
law of r_i, that is r0 and the sum of squares L'L, with several labels an annotator. Each trait is free up to its sign
(matched to the mode after fitting); with two, rotation is fixed by convention: the second trait does not move the pair
that was compared most often.
"""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from bayespref.choice import ChoiceData, record_likelihood, type_log_weights, zero_sum_basis
from bayespref.errors import ModelError
from bayespref.models.terms import answer_table, hermite_nodes

NODES = {1: 21, 2: 9}
"""Default number of nodes per trait, by number of traits."""


def latent_traits(
    data: ChoiceData,
    outcome=None,
    *,
    n_traits=1,
    n_nodes=None,
    reward_scale=1.0,
    loading_scale=1.0,
    ties="davidson",
    tie_scale=1.5,
    both_bad_scale=1.5,
    position_effect=False,
    position_scale=1.0,
    decisiveness="none",
    decisiveness_scale=0.5,
    n_decisiveness_nodes=9,
):
    """Bradley-Terry-Luce with annotators spread along one or two latent traits.

    Sites: ``reward`` (r0, one type) and ``loading``. The traits of annotators come from
    :func:`bayespref.fit.evaluate.annotator_values`. A simulation draws each unit's trait among the nodes.

    Parameters
    ----------
    data : ChoiceData
        Questions and records, from :func:`bayespref.choice.choice_data`.
    outcome : int array, shape (record,), optional
        Outcome columns; None simulates.
    n_traits : int
        1 or 2.
    n_nodes : int, optional
        Quadrature nodes per trait; 21 for one trait, 9 for two.
    reward_scale : float
        Prior standard deviation of ``z0``, log-odds.
    loading_scale : float
        Prior standard deviation of loadings, log-odds per standard deviation of a trait.
    ties : {"davidson", "rao_kupper"} or None
        Model of ties; None refuses a table that has some.
    tie_scale, both_bad_scale : float
        Prior scales of the tie parameter and of the both-bad logit.
    position_effect : bool
        Add ``beta first``, ``beta ~ N(0, position_scale^2)``, to the difference; the table must name positions.
    position_scale : float
        Prior standard deviation of ``beta``, log-odds.
    decisiveness : {"none", "annotator"}
        Inverse temperature: none, or one an annotator (summed out over further nodes).
    decisiveness_scale : float
        Prior scale of log-decisiveness; see :func:`bayespref.models.terms.answer_table`.
    n_decisiveness_nodes : int
        Quadrature nodes for ``decisiveness="annotator"``.

    Returns
    -------
    int array, shape (record,)
        Outcomes.

    Raises
    ------
    ModelError
        If ``n_traits`` is not 1 or 2, the table lacks a column that an option needs, or has ties and ``ties`` is None.
    """
    if n_traits not in NODES:
        raise ModelError(f"n_traits: must be 1 or 2, got {n_traits}; product nodes grow too fast beyond")
    if decisiveness == "type":
        raise ModelError("decisiveness: there is one type, and its decisiveness is the size of the rewards")
    nodes = hermite_nodes(NODES[n_traits] if n_nodes is None else n_nodes, n_traits)
    size = (data.n_states, max(data.n_items - 1, 0))
    basis = jnp.asarray(zero_sum_basis(data.n_items))
    z = numpyro.sample("z", dist.Normal(0.0, reward_scale).expand(size).to_event(2))
    free = numpyro.sample("loading_z", dist.Normal(0.0, loading_scale).expand((n_traits, *size)).to_event(3))
    loading = free if n_traits == 1 else _without_rotation(free, basis, data)
    reward = z @ basis.T
    numpyro.deterministic("reward", reward[:, None, :])
    loading = numpyro.deterministic("loading", loading @ basis.T)
    common = reward[data.state, data.item_a] - reward[data.state, data.item_b]
    moved = loading[:, data.state, data.item_a] - loading[:, data.state, data.item_b]
    table, log_node = answer_table(
        (common + jnp.asarray(nodes.value) @ moved)[None],
        data,
        nodes=nodes,
        ties=ties,
        tie_scale=tie_scale,
        both_bad_scale=both_bad_scale,
        position_effect=position_effect,
        position_scale=position_scale,
        decisiveness=decisiveness,
        decisiveness_scale=decisiveness_scale,
        n_nodes=n_decisiveness_nodes,
    )
    _, by_group = type_log_weights(1, 1.0, observed=False, n_groups=data.n_groups, log_node=log_node)
    return record_likelihood(table, by_group, data, outcome)


def _without_rotation(free, basis, data: ChoiceData):
    """Take from the second trait its effect on the most compared pair; what is taken keeps its prior and no meaning."""
    often = jnp.argmax(data.asked.sum(0))
    pair = (basis[data.item_a[often]] - basis[data.item_b[often]]) / jnp.sqrt(2.0)
    state = data.state[often]
    return free.at[1, state].add(-pair * (pair @ free[1, state]))
