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
# # From a posterior to a policy, and from a policy to a stream of decisions
#
# *Notebook 5 of 7 · before: [What no data can fix, what assumptions buy, what randomising buys](04_what_no_data_can_fix.ipynb) · next: [Which comparisons to collect next](06_which_comparisons_next.ipynb)*
#
# | | |
# |---|---|
# | **Question** | For each case that comes in: act, or leave it to somebody? |
# | **You know already** | From notebook 4: bounds, regret, and that a blind spot does not go away. |
# | **You will know** | How bounds become a policy in one file, a threshold with a guarantee, and what a rule costs over a stream of cases. |
# | **Takes** | About 20 s, once compiled. Data: simulated, so that what each decision cost is known. |
#
# A posterior says how sure a fit is, a bound how wrong it could be. A system needs something else: for each case, act or
# leave it to somebody, and a file that says so without the fitting code.
#
# The world is that of notebook 4: four states, two types of people, four items. Two of the eight (state, type) cells
# were never asked about. At deployment half of all cases come from exactly these two.

# %%
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import SVG

warnings.filterwarnings("ignore", message="IProgress not found")  # no progress bars are shown here

import bayespref
from bayespref.bounds.regions import draw_bounds
from bayespref.data.split import hold_out
from bayespref.defer.annotators import score_annotators
from bayespref.defer.calibrate import learn_then_test
from bayespref.defer.heldout import held_out_units
from bayespref.defer.metrics import sign_reliability
from bayespref.defer.monitor import count_decisions, deferral_shares, exposition
from bayespref.defer.stream import compare_rules, cost_frontier, draw_cases, replay, rule_actions
from bayespref.report import plots_defer
from bayespref.report.plots_style import to_svg
from bayespref.simulate.scenarios import blind_spot


def show(figure):
    """Show a figure."""
    return SVG(to_svg(figure))


# %%
world = blind_spot(eps=0.0, deployment_on_missing=0.5, seed=1)
people = hold_out(world.comparisons, by="annotator", share=0.4, seed=0)
print(f"{people.train.n_rows:,} comparisons to fit on, {people.test.n_rows:,} of {len(people.held_out)} other people")

tree = bayespref.fit(
    "latent_types",
    people.train,
    rng_key=0,
    options={"types_observed": True},
    chains=2,
    draws=400,
    n_starts=2,
    progress=False,
)
tree = bayespref.analyse(tree, reward_range=world.reward_range, regions="state_type", max_draws=400)

# %% [markdown]
# ## What acting could cost
#
# Every region gets one number per rule: the regret to expect if it acts, in log-odds of reward. It is also the region's
# *break-even cost*: act as soon as deferring costs more than that.
#
# - `chow` averages over posterior draws. Where nobody asked, the draws are the prior, and the number is the prior's.
# - `set_pure` takes the worst that the data allow. Where nobody asked, that is the whole range.

# %%
scores = tree["defer"].to_dataset()
scores[["state", "context", "c_chow", "c_set_pure", "flag"]].to_dataframe().round(2)

# %% [markdown]
# The two rules agree where there are data. In the two empty cells `chow` says 1.0, a statement about the prior;
# `set_pure` says 12, a statement about what is not known.
#
# ## The policy
#
# Say that handing a case to a person costs 1.2 log-odds. That is a lot: `chow` would rather act than pay it.

# %%
price = 1.2
policy = bayespref.policy(tree, c_defer=price)
show(
    plots_defer.decision_map(
        policy.to_table(), ("state", "context"), title="The policy defers in the two cells that nobody asked about"
    )
)

# %% [markdown]
# The policy is one JSON file. Reading it runs no code and needs no fitting library; it answers frames of any size, and
# what it does not know it defers.

# %%
folder = tempfile.TemporaryDirectory()
path = policy.save(Path(folder.name) / "policy.json")
served = bayespref.DeferralPolicy.load(path)
cases = pd.DataFrame(
    {"state": ["state 0", "state 1", "state 9", None], "context": ["type 0", "type 0", "type 0", "type 1"]}
)
served.predict(cases)

# %%
print(served.explain({"state": "state 1", "context": "type 0"}))

# %% [markdown]
# ## A threshold with a guarantee
#
# The price of deferring is a judgement. A second road asks the held-out people: act only where at most 35 % of their
# labels contradict the item the policy plays, with probability 90 %. Nothing can be guaranteed where no label can be
# had, so the two empty cells must be forced to defer; leaving that out is an error.

# %%
n_states, n_types, n_items = world.reward.shape
action = scores["set_pure"].values.argmin(axis=1)
units = held_out_units(
    people.test, people.test.state * n_types + people.test.context, action, scores["c_set_pure"].values, seed=0
)
certificate = learn_then_test(
    units.score,
    units.loss,
    alpha=0.35,
    delta=0.1,
    grid=np.geomspace(0.001, 30, 40),
    region=units.region,
    n_regions=n_states * n_types,
    force_defer=scores["flag"].values != "",
    rater=units.rater,
)
print(certificate.guarantee)
print(f"act where the score is at most {certificate.threshold:.3g}: {certificate.n_accepted} of {certificate.n} units")

# %% [markdown]
# Every held-out person is one unit. All are accepted: nobody was asked in the two empty cells, so all units come from
# cells that are well known. The guarantee is about such cells and says nothing of the empty ones, which defer by force.
#
# ## A stream of decisions
#
# Now the policy goes to work: 4,000 cases, half of them from the blind spot. Because the world is simulated, we know
# what each decision cost. Five rules see the same cases; the fifth plays the favourite of a fit that knows no types.

# %%
actions = rule_actions(
    scores["chow"].values,
    scores["set_pure"].values,
    c_defer=price,
    flag=scores["flag"].values.astype(str),
    certificate=certificate,
)
grid = {rule: played.reshape(n_states, n_types) for rule, played in actions.items()}
pooled = bayespref.maximum_likelihood(people.train, by=("state",))
grid["one type for all"] = pooled["score"].values.argmax(axis=1)[:, None]

stream = draw_cases(world.deployment, 4000, seed=0)
costs = compare_rules(world.reward, stream, grid, c_defer=price)
costs.round(3)

# %% [markdown]
# `act_always` and `chow` play the same item in the blind spot: the one the prior's noise happened to favour. `set_pure`
# and the calibrated rule pay the price of deferring there, and nothing else. In this world the guesses went well, and
# guessing was cheaper. Nothing in the data said so. Here is the same table over 200 other truths in the two empty
# cells, drawn afresh, so that the wishes of the other type say nothing about them. The data are the same in all 200,
# and so are the fit and every decision.

# %%
truths = []
for seed in range(200):
    drawn = blind_spot(seed=1000 + seed, n_annotators=2, labels_per_annotator=1).reward
    truths.append(np.where(world.missing[..., None], drawn, world.reward))
many = pd.concat([compare_rules(truth, stream, grid, c_defer=price) for truth in truths])
average = many.groupby("rule", sort=False, as_index=False)[["deferral_rate", "cost", "worst_regret"]].mean()
average.assign(worst_world=many.groupby("rule", sort=False)["cost"].max().values).round(3)

# %% [markdown]
# `one type for all` borrows the other type's favourite. In the first table, where the types share a part of what they
# want, that was cheapest of all. Over truths drawn afresh it costs most. Which of the two it is, the data do not say.
#
# The frontier shows it for all thresholds: sort the cases by their score, defer those above the threshold, and read off
# the cost per case, averaged over the 200 truths.

# %%
score = scores["c_set_pure"].values[stream.state * n_types + stream.type]
regret = np.concatenate([replay(truth, stream, grid["act_always"], c_defer=price).regret for truth in truths])
steps = cost_frontier(np.tile(score, len(truths)), regret, c_defer=price)
line = pd.DataFrame({"rule": "set_pure", "deferral_rate": steps.deferral_rate, "cost": steps.cost})
show(
    plots_defer.cost_frontier(
        line, chosen=average, title="Averaged over what nobody asked, deferring the blind half costs least"
    )
)

# %% [markdown]
# ## When the type is not known
#
# So far a case came with its context. A new person comes without one; each label they give says something about their
# type, and so does what they ask about. The score of a state for that person moves from the average over types to the
# score of their type.

# %%
posterior = tree["posterior"].to_dataset().isel(draw=slice(None, None, 8))
reward = posterior["reward"].stack(sample=("chain", "draw")).transpose("sample", "state", "type", "item").values
upper = draw_bounds(
    reward, tree["graph"]["type_component"].values, np.arange(n_items), world.reward_range, "widen"
).upper
newcomers = people.test.pool("context")
rank = np.arange(newcomers.n_rows) % 40  # forty labels each, in order
by_labels = {}
for n in (0, 1, 2, 5, 10):
    known = score_annotators(posterior, newcomers.select(rank < n), upper=upper)
    new = known.isel(annotator=np.unique(newcomers.annotator))
    by_labels[n] = new["c_set_pure"].mean("annotator").to_series()
    by_labels[n]["P(most likely type)"] = float(new["type_probability"].max("type").mean())
pd.DataFrame(by_labels).rename_axis(columns="labels given").round(3)

# %% [markdown]
# In states 0 and 3 both types were asked, and the score falls to zero as the type becomes known: what was uncertain was
# the person. In states 1 and 2 it stays near 6, half of 12: for half of the people the state is a blind spot, however
# well we know them. For the other half it falls to zero:

# %%
final = known.isel(annotator=np.unique(newcomers.annotator))
sure = final["type_probability"].argmax("type").values
by_type = {f"people of type {k}": final["c_set_pure"].values[sure == k].mean(0) for k in range(n_types)}
pd.DataFrame(by_type, index=final["state"].values).round(2)

# %% [markdown]
# ## Is the posterior as good as its word?
#
# Over all pairs and cells, how often was r(a) > r(b) when the posterior said so with probability p? (In the blind cells
# over 20 of the truths.) Where people were asked, probabilities sit at 0 and 1 and are right, but for a near tie. The blind
# cells contribute the middle: there the posterior says "about one half", which is honest and useless.

# %%
a, b = np.triu_indices(n_items, 1)
draws = tree["posterior"]["reward"]
above = (draws.isel(item=a) > draws.isel(item=b).values).mean(("chain", "draw")).values
truth = np.stack([one[..., a] > one[..., b] for one in truths[:20]])
counted = np.broadcast_to(world.missing[..., None], truth.shape).copy()
counted[0] = True  # where people were asked there is one truth only
reliability = sign_reliability(np.broadcast_to(above, truth.shape)[counted], truth[counted])
columns = ("lower", "upper", "n_cases", "predicted", "observed")
bins = pd.DataFrame({name: getattr(reliability, name) for name in columns})
show(plots_defer.sign_reliability(bins, title="The posterior is sure and right, or at one half and guessing"))

# %% [markdown]
# ## What a running service watches
#
# Counters by decision and reason: a rising share of unseen states says that deployment has left the table.

# %%
frame = pd.DataFrame({"state": [f"state {s}" for s in stream.state], "context": [f"type {c}" for c in stream.type]})
frame.loc[:49, "state"] = "state 9"
counts = count_decisions(served.predict(frame))
print({reason: round(share, 3) for reason, share in deferral_shares(counts).items()})
print(exposition(counts))
folder.cleanup()

# %% [markdown]
# `examples/service` in the repository serves the same file over HTTP and refuses to start on a broken one.
#
# ## What to remember
#
# | Question | Ask |
# |---|---|
# | From which price of deferring on does acting pay? | `c_set_pure` of the region |
# | What if the price is unknown? | `learn_then_test` on people the fit has not seen |
# | What would a rule have cost? | `draw_cases`, `compare_rules` on a world with known truth |
# | The type of a person is not known? | `score_annotators` with the labels given so far |
# | What does a service need? | `policy.json` and `DeferralPolicy.load` |
#
# ## Read on
#
# - [Defer](../docs/howto/defer.md), [which rule](../docs/choosing.md); the mathematics:
#   [when not to act](../docs/theory/deferral.md).
# - Next: [notebook 6](06_which_comparisons_next.ipynb). Deferring costs something every time; asking costs something once.
