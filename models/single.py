"""One reward per state and item, shared by everybody.

    P(a beats b | s) = sigmoid(r(s, a) - r(s, b)),      r(s, .) = B z(s, .),      z ~ N(0, reward_scale^2)

B is an orthonormal sum-to-zero basis: exchangeable in the items, and exactly the gauge that comparisons leave free.
Ties and a "both bad" outcome join when the table has them. Identified: differences within a connected
component of a state's comparison graph. Everything else in a draw is prior.
"""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from bayespref.choice import ChoiceData, record_likelihood, type_log_weights, zero_sum_basis
from bayespref.errors import ModelError
from bayespref.models.terms import answer_table


def single(
    data: ChoiceData,
    outcome=None,
    *,
    reward_scale=1.0,
    ties="davidson",
    tie_scale=1.5,
    both_bad_scale=1.5,
    position_effect=False,
    position_scale=1.0,
    decisiveness="none",
    decisiveness_scale=0.5,
    n_nodes=9,
):
    """Bradley-Terry-Luce with one type of annotator.

    Parameters
    ----------
    data : ChoiceData
        Questions and records, from :func:`bayespref.choice.choice_data`.
    outcome : int array, shape (record,), optional
        Outcome columns; None simulates.
    reward_scale : float
        Prior standard deviation of ``z``, log-odds; a difference of two rewards has ``reward_scale * sqrt(2)``.
    ties : {"davidson", "rao_kupper"} or None
        Model of ties; None refuses a table that has some.
    tie_scale, both_bad_scale : float
        Prior scales of the tie parameter and of the both-bad logit.
    position_effect : bool
        Add ``beta first``, ``beta ~ N(0, position_scale^2)``, to the difference; the table must name positions.
    position_scale : float
        Prior standard deviation of ``beta``, log-odds.
    decisiveness : {"none", "annotator"}
        Inverse temperature: none, or one an annotator (summed out over ``n_nodes`` nodes).
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
    """
    if decisiveness == "type":
        raise ModelError("decisiveness: the only type's decisiveness is the size of the rewards; use 'annotator'")
    size = (data.n_states, max(data.n_items - 1, 0))
    z = numpyro.sample("z", dist.Normal(0.0, reward_scale).expand(size).to_event(2))
    reward = z @ jnp.asarray(zero_sum_basis(data.n_items)).T
    numpyro.deterministic("reward", reward[:, None, :])
    difference = (reward[data.state, data.item_a] - reward[data.state, data.item_b])[None]
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
    _, by_group = type_log_weights(1, 1.0, observed=False, n_groups=data.n_groups, log_node=log_node)
    return record_likelihood(table, by_group, data, outcome)
