"""One reward per state and item, shared by everybody.

    P(a beats b | s) = sigmoid(r(s, a) - r(s, b)),      r(s, .) = B z(s, .),      z ~ N(0, reward_scale^2)

B is an orthonormal sum-to-zero basis: exchangeable in the items, and exactly the gauge that comparisons leave free.
Davidson ties and a "both bad" outcome join when the table has them. Identified: differences within a connected
component of a state's comparison graph. Everything else in a draw is prior.
"""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from bayespref.choice import (
    ChoiceData,
    outcome_log_prob,
    record_likelihood,
    tie_logits,
    type_log_weights,
    zero_sum_basis,
)


def single(data: ChoiceData, outcome=None, *, reward_scale=1.0, tie_scale=1.5, both_bad_scale=1.5):
    """Bradley-Terry-Luce with one type of annotator.

    Parameters
    ----------
    data : ChoiceData
        Questions and records, from :func:`bayespref.choice.choice_data`.
    outcome : int array, shape (record,), optional
        Outcome columns; None simulates.
    reward_scale : float
        Prior standard deviation of ``z``, log-odds; a difference of two rewards has ``reward_scale * sqrt(2)``.
    tie_scale, both_bad_scale : float
        Prior standard deviation of the tie and both-bad logits.

    Returns
    -------
    int array, shape (record,)
        Outcomes.
    """
    size = (data.n_states, max(data.n_items - 1, 0))
    z = numpyro.sample("z", dist.Normal(0.0, reward_scale).expand(size).to_event(2))
    reward = z @ jnp.asarray(zero_sum_basis(data.n_items)).T
    numpyro.deterministic("reward", reward[:, None, :])
    log_tie, log_bad = tie_logits(data, tie_scale=tie_scale, both_bad_scale=both_bad_scale)
    _, by_group = type_log_weights(1, 1.0, observed=False, n_groups=data.n_groups)
    difference = reward[data.state, data.item_a] - reward[data.state, data.item_b]
    table = outcome_log_prob(difference, data.outcomes, log_tie=log_tie, log_both_bad=log_bad)
    return record_likelihood(table[None], by_group, data, outcome)
