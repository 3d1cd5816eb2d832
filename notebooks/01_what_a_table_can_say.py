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
# # What a table of preferences can say, and what it cannot
#
# *Notebook 1 of 7 · next: [From one type to latent types to a trait](02_from_one_type_to_a_trait.ipynb)*
#
# | | |
# |---|---|
# | **Question** | What do 2,929 real choices say, and what do they not say? |
# | **You know already** | Nothing but a little Python and pandas. Every word is explained where it first appears; the [glossary](../docs/glossary.md) has them all. |
# | **You will know** | The whole road once: check a table, fit, see what the data leave open, bound it, act or defer. |
# | **Takes** | About 35 s, once compiled. Data: bundled with the package, and simulated. |
#
# Somebody was shown two things and said which they prefer. A table of such answers trains reward models, ranks
# products and steers systems. This course asks of every number which comes out of such a table: do the data say it, or
# does something else? This first notebook walks the whole road with two tables, from the first row to a decision:
#
# 1. **Train tickets**: 235 real travellers, 2,929 choices between two tickets.
# 2. **Blind spot**: a simulated world whose truth we know, with questions that nobody ever asked.

# %%
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import SVG

warnings.filterwarnings("ignore", message="IProgress not found")  # no progress bars are shown here

import bayespref
from bayespref.posterior.verdict import convergence
from bayespref.report import decisions, plots, plots_graph, tables
from bayespref.report.plots_style import to_svg
from bayespref.simulate.scenarios import blind_spot


def show(figure):
    """Show a figure."""
    return SVG(to_svg(figure))


def words(table):
    """Show a table of words, without row numbers."""
    return table.style.hide(axis="index").set_properties(**{"text-align": "left"})


# %% [markdown]
# ## Part 1: train tickets
#
# ### Read the table
#
# `read_comparisons` reads a CSV, Parquet or JSONL file or a dataframe. These data ship with the package.

# %%
tickets = bayespref.load_train_tickets()
tickets

# %% [markdown]
# An *item* is a thing that is compared: here a ticket, with a price, a travel time, a number of changes and a comfort
# class (0 is the best). An *annotator* is a person who answers. The first five choices:

# %%
pd.DataFrame(
    {
        "annotator": np.array(tickets.annotators)[tickets.annotator[:5]],
        "ticket a": np.array(tickets.items)[tickets.item_a[:5]],
        "ticket b": np.array(tickets.items)[tickets.item_b[:5]],
        "chosen": np.array(["a", "b"])[tickets.outcome[:5]],
    }
)

# %% [markdown]
# ### Check: what can this table say?
#
# `check` needs no model. It looks at who was compared with whom, and answers each question with yes or no.

# %%
result = bayespref.check(tickets)
words(result.to_frame()[["check", "verdict", "words"]])

# %% [markdown]
# Three checks fail. To compare two tickets we need a chain: A was compared with B, B with C. Tickets joined by such
# chains form a **component**. Across components there is no chain, so the table does not say which is better. These
# tickets form 111 components.

# %%
membership = result.connectivity["component"].sel(state="all").to_series()
sizes = membership.value_counts().tolist()
title = "1,785 tickets fall into 111 groups that were never compared with each other (the 12 largest)"
show(plots_graph.component_sizes(sizes[:12], title=title))

# %% [markdown]
# A second failure is quieter. Many tickets *always lost* (or always won) against the rest of their component: they are
# **separated**. The data then say who is worse, but not by how much. Of 1,592,220 pairs of tickets, this table fixes
# the difference of just 401.
#
# So why can anyone analyse these data? Because a ticket is only its price, time, changes and comfort. If we *assume*
# that its worth is a weighted sum of these four, four weights are all there is to learn, and the choices fix them. The
# assumption then carries every comparison across components: they are **identified by structure only**, not by data.
# No amount of choices among these tickets can test it there.

# %% [markdown]
# ### One type of traveller: the published numbers
#
# `linear_types` with one type is that weighted sum. A very wide prior (`reward_scale=1000`) leaves the numbers to the
# data, so the best fit should be the published one.

# %%
options = {"n_types": 1, "reward_scale": 1000.0}
one = bayespref.fit("linear_types", tickets, rng_key=0, options=options, draws=250, n_starts=1, progress=False)
print(convergence(one)[0].words)

# %% [markdown]
# The sampler's own verdict comes first: independent runs agree (R-hat near 1), with plenty of effective draws. A fit
# that fails this says so here, and none of its numbers should be read.
#
# The fit stores the worth of every ticket at the best fit (the *mode*). It is a weighted sum of the four attributes,
# so we can read the weights off it.

# %%
worth = one["fit"]["mode_reward"].squeeze().values
attributes = tickets.features - tickets.features.mean(axis=0)
weights = np.linalg.lstsq(attributes, worth, rcond=None)[0]
pd.DataFrame(
    {"best fit": weights, "published": [-0.0673580, -1.7205514, -0.3263409, -0.9457256]},
    index=pd.Index(tickets.feature_names, name="attribute"),
).style.format("{:.7f}")

# %%
print(f"log-likelihood at the best fit: {one['fit']['mode_log_likelihood'].item():.2f} (published: -1724.15)")

# %% [markdown]
# They agree. The unit is **log-odds**: a ticket that is worth 1 more is chosen in 73 % of comparisons, 2 more in 88 %.
# A euro more costs a ticket 0.067, an hour more costs it 1.72. So an hour is worth as much as 1.72 / 0.067 = 25.5
# euros.
#
# The *log-likelihood* measures how well the model predicts the choices; nearer to zero is better. Guessing by coin
# toss gives -2030.

# %% [markdown]
# ### Where a number would be made up
#
# Now ask for differences between single tickets: three from one component, two from another. `analyse` adds to the fit
# what the table cannot tell. It needs one assumption in return: a range that holds the worth of every ticket, here 16
# log-odds wide (within a single component this fit already spans 14.4).

# %%
chosen = [
    "070.52 EUR, 01.75 h, 1 change(s), comfort 0",
    "079.33 EUR, 02.33 h, 0 change(s), comfort 1",
    "088.15 EUR, 01.75 h, 0 change(s), comfort 1",
    "048.48 EUR, 02.25 h, 0 change(s), comfort 2",
    "072.72 EUR, 01.83 h, 0 change(s), comfort 1",
]
one = bayespref.analyse(one, items=chosen, reward_range=(-8.0, 8.0))
from_data = one["disagree"].to_dataset()[["estimate", "reason", "mean"]]
limits = one["bounds"].to_dataset()[["difference_lower", "difference_upper"]]
against = from_data.merge(limits, combine_attrs="drop").sel(item_other=chosen[0]).squeeze(drop=True).to_dataframe()
against.loc[chosen[1:], ["estimate", "reason", "difference_lower", "difference_upper", "mean"]].round(2)

# %% [markdown]
# Each row is a ticket minus the first ticket of our list.
#
# - **Same component** (first two rows): an `estimate` from the data. The bounds are the same number: nothing is left
#   open.
# - **Other component** (last two rows): `estimate` is NaN, "not a number", and `reason` says why: *disconnected*.
#   Beside it stand the **bounds**: if we do not trust the weighted sum across components, any difference between them
#   fits the choices equally well.
# - `mean` is what the weighted sum alone would print: a tidy number whether or not anything was compared.
#
# Drawn, the two components stand apart. Zero is the best ticket *of each group*; the groups have no common zero.

# %%
title = "Within a group tickets can be ranked; across the dashed line they cannot"
rewards = tables.rewards(one)
rewards["item"] = rewards["item"].str[:19]  # price and time tell these five tickets apart
show(plots.forest(rewards, title=title))

# %% [markdown]
# ### Two types of traveller: what is an hour worth?
#
# Do all travellers weigh time and money alike? `n_types=2` lets each be of one of two types, with weights of its own.
# Nobody told us who is of which type. The model infers it from each person's choices.

# %%
options = {"n_types": 2, "reward_scale": 10.0}
two = bayespref.fit("linear_types", tickets, rng_key=0, options=options, draws=500, n_starts=4, progress=False)
for verdict in convergence(two):
    print(verdict.words)

# %% [markdown]
# The first line is the verdict, the others its grounds. With two types two more things could go wrong, and did not:
# the types never swapped names while sampling, and four searches from different starting points found no rival best
# fit.

# %%
print(f"log-likelihood at the best fit: {two['fit']['mode_log_likelihood'].item():.2f}, from -1724.15 with one type")

# %% [markdown]
# A gain of 177 from five more numbers: the types are real. Here are their weights, per euro, per hour, per change and
# per comfort class. Each mark is the estimate; each bar holds the true weight with probability 90 %, if the model is
# right.
#
# (`analyse` comes first, as before. Two types spread further apart, so the range has to be wider.)

# %%
two = bayespref.analyse(two, items=chosen, reward_range=(-30.0, 30.0))
show(plots.coefficients(tables.coefficients(two), title="Type 2 minds price over six times as much as type 1"))

# %% [markdown]
# Euros per hour are the ratio of the two weights, time over price, draw by draw from the posterior:

# %%
coefficient = two["posterior"]["coefficient"]
hour = coefficient.sel(feature="time") / coefficient.sel(feature="price")
value = hour.quantile([0.5, 0.05, 0.95], dim=("chain", "draw")).T.to_pandas()
value.columns = ["an hour is worth (euros)", "from", "to"]
value.insert(0, "share of travellers", two["posterior"]["type_weight"].mean(("chain", "draw")).to_series())
value.round(2)

# %% [markdown]
# A bit more than half of the travellers would pay about 52 euros to save an hour, the others about 17. The single
# number of before, 25.5 euros, describes neither. An average over people who differ can be an answer to a question
# nobody asked.

# %% [markdown]
# ## Part 2: the blind spot
#
# ### A world whose truth we know
#
# Here the people are simulated, so we can look up what is true. There are four *states* (kinds of question), four
# *items* (answers to choose among) and two *types* of people. Who asks decides what gets asked: type 0 never asks
# about state 1, and type 1 never about state 2. Otherwise it is a generous table: 20,000 comparisons by 500 people.

# %%
world = blind_spot(seed=1)
words(bayespref.check(world.comparisons).to_frame()[["check", "verdict", "words"]])

# %% [markdown]
# The table knows the type of each person as a `context` (think of a customer segment), and `check` finds the holes at
# once. Would you have noticed? Each state has thousands of comparisons, so does each type. Only the *combination* is
# empty.
#
# The model `latent_types` gives every combination of state and type, a **cell**, rewards of its own. Here the types
# are observed, so there is nothing to search for and one start is enough.

# %%
options = {"types_observed": True, "reward_scale": 2.0}
blind = bayespref.fit(
    "latent_types", world.comparisons, rng_key=0, options=options, draws=300, n_starts=1, progress=False
)
print(convergence(blind)[0].words)

# %%
blind = bayespref.analyse(blind, reward_range=world.reward_range, regions="state_type")
show(plots.coverage(tables.coverage(blind), title="Two of eight cells hold no comparison at all"))

# %% [markdown]
# Note the verdict above: *converged, yes*. The sampler did its work everywhere, also where there was nothing to learn.
# Convergence is about the computation. It does not say that the data spoke.
#
# ### Where the draws disagree
#
# The posterior is a bag of worlds that all fit the data. Take two of them and ask which of two items is better: how
# often do they disagree? 0 means the table settles it, 0.5 is a coin toss.

# %%
disagreement = blind["disagree"]["draw_pair_disagreement"].mean(("item", "item_other"))
disagreement.to_pandas().style.format("{:.2f}")

# %% [markdown]
# A coin toss in the two empty cells, close to zero elsewhere: 20,000 comparisons taught nothing about what type 0
# wants in state 1. (What is left in state 3 comes from one pair: type 1 likes items 0 and 1 almost equally, so which is
# better hardly matters.)
#
# A second sign is the **contraction**, posterior spread over prior spread: near 0 the data spoke, 1 (give or take
# simulation noise) means that nothing was learned.

# %%
blind["disagree"]["contraction"].mean(("item", "item_other")).to_pandas().style.format("{:.2f}")

# %% [markdown]
# ### Why refits that agree would be no comfort
#
# A common test of a model is to fit it again, on new data, and to see whether the answers change. Let us do so: 100
# new people from the same world, another seed. Then we compare the two best fits with each other and with the truth.

# %%
fresh = blind_spot(seed=1, n_annotators=100)
tiny = {"chains": 1, "warmup": 50, "draws": 50, "n_starts": 1}  # only the best fit is read
again = bayespref.fit("latent_types", fresh.comparisons, rng_key=1, options=options, progress=False, **tiny)

# %%
first, second = blind["fit"]["mode_reward"].to_numpy(), again["fit"]["mode_reward"].to_numpy()
truth = world.reward - world.reward.mean(axis=-1, keepdims=True)
refits = tables.coverage(blind)[["state", "type", "count"]]
refits["the refits differ by"] = abs(first - second).max(axis=-1).ravel()
refits["the first misses the truth by"] = abs(first - truth).max(axis=-1).ravel()
refits.style.format(precision=2).format("{:,.0f}", subset="count").hide(axis="index")

# %% [markdown]
# (Largest difference over the four items, in log-odds.) In the empty cells the two fits agree *perfectly*, better than
# anywhere else, and miss the truth by about 2 log-odds. No data reach these cells, so both fits return what the prior
# says: all four items equal. Agreement here is agreement with our own assumption. Any further refit would agree, too.

# %% [markdown]
# ### Bounds that hold the truth
#
# Instead of a number, an empty cell gets everything the data allow, given that rewards lie between -6 and 6. For each
# cell the figure compares the leading item with its strongest contender. To the right of zero the contender would be
# better. (Who leads in an empty cell is chance.)

# %%
title = "Where nobody asked, either item may be better; elsewhere the data decide"
show(plots.decisions(decisions.decisions(blind, world.reward), title=title))

# %%
covered = decisions.truth_covered(blind, world.reward)
words(covered[["state", "type", "reason", "n_contrasts", "n_covered"]])

# %% [markdown]
# Each cell has six pairs of items. `n_covered` counts those whose true difference lies inside its region. In the empty
# cells (`no_data`) the bound holds all six. Elsewhere the regions are 90 % intervals and miss about one in ten; misses
# come in clusters, because the pairs of a cell share items.

# %% [markdown]
# ### Act or defer
#
# A wrong choice costs *regret*: how much better the best item would have been. Deferring (asking a person, say) costs
# something too: here 0.3 log-odds. The rule `set_pure` takes what is unknown at its worst, and acts only where even
# that costs at most 0.3.

# %%
policy = bayespref.policy(blind, c_defer=0.3)
costs = decisions.thresholds(blind, policy.to_table())
title = "Six cells act at almost no risk; the two empty ones defer"
show(plots.thresholds(costs, ["state", "context"], 0.3, title=title))

# %% [markdown]
# A region acts where its filled diamond lies to the left of the dashed line. The hollow marks are milder rules. In the
# empty cells they believe the prior, and the risk looks several times smaller than it could be. The decisions:

# %%
policy.to_table().round(2)

# %%
print(policy.explain({"state": "state 1", "context": "type 0"}))

# %% [markdown]
# What if the system cannot see who is asking? Then a **region**, which is what the policy decides on, is a state alone,
# and each state mixes both types. In
# states 1 and 2 half of the people are in the blind spot, so the policy defers there altogether. In states 0 and 3 it
# plays the item that is best on average over both types, which is not everybody's favourite.

# %%
by_state = bayespref.analyse(blind, reward_range=world.reward_range, regions="state")
bayespref.policy(by_state, c_defer=0.3).to_table().round(2)

# %% [markdown]
# ### Save, load, use
#
# The policy is a small JSON file. Reading it runs no code and needs no sampler, so a service can do it. Its default is
# to defer: a state it has never seen or a missing value never leads to an action.

# %%
folder = tempfile.TemporaryDirectory()
path = policy.save(Path(folder.name) / "policy.json")
loaded = bayespref.DeferralPolicy.load(path)
requests = pd.DataFrame(
    {
        "state": ["state 0", "state 1", "state 1", "state 9", None],
        "context": ["type 0", "type 0", "type 1", "type 0", "type 1"],
    }
)
loaded.predict(requests).round(2)

# %% [markdown]
# The fit is saved in the same way, as one netCDF file with its data, priors, seed and versions.

# %%
fit_path = bayespref.save_fit(blind, Path(folder.name) / "blind.nc")
back = bayespref.load_fit(fit_path)
same = back["posterior"].equals(blind["posterior"])
print(f"{fit_path.name}: {fit_path.stat().st_size / 1e6:.1f} MB, same draws after reading it back: {same}")
folder.cleanup()

# %% [markdown]
# ## What to remember
#
# | Question | Ask | In this notebook |
# |---|---|---|
# | Does the table say anything about this? | `bayespref.check` | 111 components of tickets; two empty cells |
# | Did the computation work? | `convergence` | yes, also where there were no data |
# | Is it the data or an assumption that speaks? | `disagree`: reason, NaN | across components: the assumption |
# | How wrong could a decision be? | `bounds` | up to 12 log-odds in the blind spot |
# | Where should a system act? | `bayespref.policy` | six of eight cells |
#
# The same road on your own table, from the command line:
#
# ```
# bayespref check table.csv
# bayespref run table.csv --model latent_types --types 2 --range -6 6 --cost 0.3 --out results
# ```
#
# ## Read on
#
# - Your own file, step by step: [tutorial](../docs/tutorial.md); why any of this holds:
#   [what comparisons can identify](../docs/theory/identification.md).
# - Next: [notebook 2](02_from_one_type_to_a_trait.ipynb). Two types of traveller predicted better than one. Why not three,
#   or a little of everything?
