"""Latent types: each annotator has one type c, shared by all that annotator's labels.

    c_u ~ w,      s ~ p(. | c_u),      P(a beats b | s, c) = sigmoid(r(s, c, a) - r(s, c, b))
    w ~ Dirichlet(weight_concentration),      p(. | c) ~ Dirichlet(prompt_concentration)
    r(s, c, .) = B z(s, c, .),      z ~ N(0, reward_scale^2)

Who asks decides what is asked: the states an annotator asked about are data on the type (endogenous prompts). Types are
marginalised by hand; cells (state, type) have independent priors, so a cell nobody of a type visited keeps its prior.
Identified up to a relabelling of types, and only with several labels an annotator.
"""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from bayespref.choice import (
    ChoiceData,
    ZeroSumDirichlet,
    log_probabilities,
    outcome_log_prob,
    record_likelihood,
    tie_logits,
    type_log_weights,
    zero_sum_basis,
)


def latent_types(
    data: ChoiceData,
    outcome=None,
    *,
    n_types=2,
    types_observed=False,
    endogenous_prompts=True,
    reward_scale=1.0,
    weight_concentration=5.0,
    prompt_concentration=1.0,
    tie_scale=1.5,
    both_bad_scale=1.5,
):
    """Mixture of Bradley-Terry-Luce rewards over latent annotator types.

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
    reward_scale : float
        Prior standard deviation of ``z``, log-odds.
    weight_concentration, prompt_concentration : float
        Dirichlet concentrations of type weights and prompt probabilities.
    tie_scale, both_bad_scale : float
        Prior standard deviation of the tie and both-bad logits.

    Returns
    -------
    int array, shape (record,)
        Outcomes.
    """
    size = (n_types, data.n_states, max(data.n_items - 1, 0))
    z = numpyro.sample("z", dist.Normal(0.0, reward_scale).expand(size).to_event(3))
    reward = z @ jnp.asarray(zero_sum_basis(data.n_items)).T
    numpyro.deterministic("reward", jnp.swapaxes(reward, 0, 1))
    log_tie, log_bad = tie_logits(data, tie_scale=tie_scale, both_bad_scale=both_bad_scale)
    _, by_group = type_log_weights(n_types, weight_concentration, observed=types_observed, n_groups=data.n_groups)
    difference = reward[:, data.state, data.item_a] - reward[:, data.state, data.item_b]
    table = outcome_log_prob(difference, data.outcomes, log_tie=log_tie, log_both_bad=log_bad)
    if endogenous_prompts and data.n_states > 1:
        with numpyro.plate("type_plate", n_types):
            coordinates = numpyro.sample("prompt_logit", ZeroSumDirichlet(prompt_concentration, data.n_states))
        log_prompt = log_probabilities(coordinates, data.n_states)
        numpyro.deterministic("prompt_prob", jnp.exp(log_prompt))
        table = table + log_prompt[:, data.state, None]
    return record_likelihood(table, by_group, data, outcome)
