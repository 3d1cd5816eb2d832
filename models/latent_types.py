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

from bayespref.choice import ChoiceData, record_likelihood, zero_sum_basis
from bayespref.models.terms import add_prompts, answer_table, class_log_weights


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
        If the table lacks a column that an option needs, or has ties and ``ties`` is None.
    """
    size = (n_types, data.n_states, max(data.n_items - 1, 0))
    z = numpyro.sample("z", dist.Normal(0.0, reward_scale).expand(size).to_event(3))
    reward = z @ jnp.asarray(zero_sum_basis(data.n_items)).T
    numpyro.deterministic("reward", jnp.swapaxes(reward, 0, 1))
    difference = reward[:, data.state, data.item_a] - reward[:, data.state, data.item_b]
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
