# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Whom the policy is for
#
# *Notebook 7 of 7 · before: [Which comparisons to collect next](06_which_comparisons_next.ipynb)*
#
# | | |
# |---|---|
# | **Question** | The table comes from people who chose themselves and their questions. The policy is for others: what then? |
# | **You know already** | From notebooks 1 to 6: types, policies, and that the answers depend on who asked what. |
# | **You will know** | How to declare a population, bring a table to it in three ways, and see how far to trust each. |
# | **Takes** | About 20 s, once compiled. Data: simulated, so that the truth is known. |
#
# A policy is for a population that somebody *declares*. This notebook declares one, brings a table to it in three ways,
# and asks of each how far to trust it:
#
# 1. **Weights** on the rows, then direct preference optimisation (DPO). Popular, and wrong where types disagree.
# 2. **Types** fitted first, their rewards averaged under the declared shares, then the *tilt* of that average: the policy
#    that moves from a reference towards higher reward, at a price `beta` for moving.
# 3. **Doubly robust** DPO, which forgives one wrong ingredient.
#
# The world is simulated, so that we know the truth: four kinds of prompts, three answers (direct, hedged, refuse), two
# types of people. One wants help, one wants caution, and each asks about other things.

# %%
import warnings

import numpy as np
import pandas as pd
from IPython.display import SVG

warnings.filterwarnings("ignore", message="IProgress not found")  # no progress bars are shown here

import bayespref
from bayespref.report import plots_target
from bayespref.report.plots_style import to_svg
from bayespref.simulate.scenarios import hh_confounding, telemetry, trait_environments
from bayespref.studies import dr
from bayespref.target.export import resample, trl_table
from bayespref.target.invariance import audit_trait, discover_traits
from bayespref.target.regime import regime_from
from bayespref.target.tilt import average_reward, exponential_tilt, welfare
from bayespref.workflow.doubting import robust_target, sensitivity_table
from bayespref.workflow.reweighting import ranking, reweight
from bayespref.workflow.targeting import target


def show(figure):
    """Show a figure."""
    return SVG(to_svg(figure))


world = hh_confounding(alpha=2.0, kappa=0.9, seed=1)
table = world.comparisons
pd.DataFrame(world.prompt_prob, columns=["wants help", "wants caution"], index=table.states).round(2)

# %% [markdown]
# ## The declaration
#
# A regime is a small file, reviewed like code: shares of prompts and people, the price of moving away from the reference
# policy (`beta`), and the reason. Everything made from it carries its hash.

# %%
declared = {
    "name": "launch",
    "version": "1",
    "reason": "the service launches for everybody, not for those who asked so far",
    "kind": "product",
    "beta": 1.0,
    "states": dict.fromkeys(table.states, 0.25),
    "types": dict.fromkeys(table.contexts, 0.5),
}
regime = regime_from(declared)
regime.content_hash[:20]

# %% [markdown]
# ## Weights, and what they say of themselves

# %%
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    weighted = reweight(table, regime)
print(weighted.trust.words)
print("warning:", said[0].message)
weighted.report[["what", "n", "n_eff_share", "mean", "maximum", "top_share"]].round(3)

# %% [markdown]
# The weights are fine: enough effective rows, no heavy tail. The warning is about something else. The two types prefer
# differently, so the weighted loss aims at the *pooled log-odds*, not at the averaged reward. A strong minority counts
# less there than it should. Weights are trusted, and still the wrong tool.
#
# ## Types, then the tilt
#
# The types are not read here: they are found from who answered what. Shares are even, so the labels of the two types do
# not matter. Any other target needs an *anchor* that says which type is which.

# %%
people = table.pool("context")
tree = bayespref.fit("latent_types", people, rng_key=1, chains=1, warmup=80, draws=100, n_starts=3, progress=False)
tree = target(tree, regime_from(declared | {"over": "type"}))
policy = tree["target"]["policy"]
policy.to_pandas().round(2)

# %%
even, states = np.full((4, 2), 0.5), np.full(4, 0.25)
reference = np.full((4, 3), 1 / 3)
truth = average_reward(world.reward, even)
policies = {
    "do nothing": reference,
    "weighted DPO": exponential_tilt(weighted.frontier.score[0], reference, regime.beta).policy,
    "latent types, tilted": policy.values,
    "the best there is": exponential_tilt(truth, reference, regime.beta).policy,
}
values = {name: welfare(pi, truth, reference, regime.beta, states) for name, pi in policies.items()}
pd.DataFrame(
    {name: {"welfare lost": float(v.best - v.value), "KL spent (nats)": float(v.kl)} for name, v in values.items()}
).T.round(4) + 0.0  # a loss of -0.0000 is none

# %% [markdown]
# The fit says the same of itself, without the truth: the regret it expects of its own policy.

# %%
group = tree["target"]
print(f"regret {float(group['regret']):.4f}, 90 % interval up to {float(group['regret_upper']):.4f} log-odds")
print(f"{float(group['identified_share']):.0%} of the target is identified")

# %% [markdown]
# ## Either of two ingredients right
#
# Doubly robust DPO needs an outcome model, weights, and unlabelled examples of the target. Here every combination of right
# and wrong is fitted to ten tables. (Both right is hardly better than a right outcome model: consistency is the gain.)

# %%
runs = pd.DataFrame(dr.run_case(seed=5, n_annotators=2000, repetitions=10))
show(dr.figure(dr.summary(runs)))

# %% [markdown]
# ## One decision under doubt
#
# A log with the probability of every pair on record. Does the target prefer item 0 over item 1 in state 0? The table below
# asks what would turn the answer: a coarser proxy of the type, other caps and betas, hidden people whose odds differ by
# Gamma, weights wrong by Lambda.

# %%
log = telemetry(alpha=0.5, kappa=0.5, proxy_flip=0.1, n_annotators=600, seed=3)
service = regime_from(declared | {"pairs": {"kind": "uniform"}})
doubt = sensitivity_table(log.comparisons, service, state="state 0", item="item 0", over="item 1", caps=(np.inf, 5.0))
show(plots_target.sensitivity(doubt, title="What would turn the choice of item 0 over item 1"))

# %% [markdown]
# A robust policy makes the best of the worst case. At Gamma 1 it is the tilt; as Gamma grows it goes back to the
# reference, below which its own guarantee never falls.

# %%
rows = []
for gamma in (1.0, 1.5, 2.0, 4.0):
    robust = robust_target(log.comparisons, service, gamma)
    rows.append({"Gamma": gamma, "guaranteed gain": robust.lower.mean(), "largest probability": robust.policy.max()})
pd.DataFrame(rows).round(3)

# %% [markdown]
# ## How a ranking moves
#
# Scores as logged and under the target, with intervals from resampled people.

# %%
moved = ranking(log.comparisons, service, n_bootstrap=200, seed=0)
first = moved[(moved["state"] == "state 0") & (moved["population"] != "target minus logged")]
show(plots_target.moved_ranking(first, title="State 0: as logged, and for the declared population"))

# %% [markdown]
# ## Handing over to a trainer
#
# TRL's DPO trainer reads no weights. Either use the columns in a loss of your own, or draw the table anew.

# %%
print(resample(weighted.weights.weight, table.n_rows, seed=0).recipe)
trl_table(table, weighted.weights.weight, score=average_reward(world.reward, even)).head(4).round(3)

# %% [markdown]
# ## Traits that hold everywhere
#
# Where types are not given, which candidate traits predict preferences equally well in every environment? "layout" is
# almost the label itself, but its meaning changes from place to place. The audit then says what a kept trait encodes.

# %%
places = trait_environments(seed=0)
found = discover_traits(places.rows, places.label, places.environment, places.annotator, places.names, seed=0)
print("kept:", found.chosen, "| in every accepted set:", found.invariant)
found.table.round(3)

# %%
audit_trait(places.trait[:, 0], places.features, ["region", "age"]).round(2)

# %% [markdown]
# ## What to remember
#
# - Weights answer "who asked what". They do not answer "who wants what": that needs types.
# - `trusted` speaks of weights alone. A poor proxy gives smooth weights and a wrong answer; the study `telemetry` counts
#   how often. The sensitivity table is where to look.
# - A change of the declaration or of how pairs are shown makes all of this anew: `bayespref.workflow.reweighting.stale`.
#
# ## Read on
#
# - [Target](../docs/howto/target.md); the mathematics: [for whom is a policy made](../docs/theory/targets.md); the studies
#   [hh-confounding](../docs/studies/hh-confounding.md) and [telemetry](../docs/studies/telemetry.md).
# - This was the last notebook. With a table of your own, start at the [tutorial](../docs/tutorial.md); what reviewers get is
#   in [hand over](../docs/howto/hand-over.md).
