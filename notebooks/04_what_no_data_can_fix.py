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
# # What no data can fix, what assumptions buy, what randomising buys
#
# *Notebook 4 of 7 · before: [What was never asked](03_what_was_never_asked.ipynb) · next: [From a posterior to a policy, and from a policy to a stream of decisions](05_from_posterior_to_policy.ipynb)*
#
# | | |
# |---|---|
# | **Question** | Where nobody asked: what do more data change, what do assumptions buy, what does a coin buy? |
# | **You know already** | From notebooks 1 and 3: a cell that nobody was asked about, bounds, regret. |
# | **You will know** | Why no data of the same kind help, how to argue about an assumption by its breakdown value, and when to toss a coin, defer or ask. |
# | **Takes** | About 20 s, once compiled. Data: simulated, so that the truth is known. |
#
# Who asks decides what is asked. Where a kind of person never asks, the table is silent about what that kind of person
# wants, and more data of the same kind stay silent. Notebook 1 met such a **blind spot**, notebook 3 found some in real
# tables. This one shows three things about it:
#
# 1. **What no data can fix.** Two reward tables that give every comparison ever asked the same probability, and differ
#    exactly where a decision is to be made. You will check this yourself.
# 2. **What assumptions buy.** Bounds shrink as an assumption strengthens, until the data refute it. Each assumption has
#    a *breakdown value*: how much of it the decision needs.
# 3. **What randomising buys.** A fair coin over two unknown actions halves the worst case. Over more actions it buys less.

# %%
import warnings

import numpy as np
import pandas as pd
from IPython.display import SVG

warnings.filterwarnings("ignore", message="IProgress not found")  # no progress bars are shown here

import bayespref
from bayespref.bounds import (
    assume,
    bounds,
    evidence_of_estimate,
    minimax_regret,
    policy_lower_bound,
    robust_credible_region,
    sweep,
    two_world_certificate,
)
from bayespref.bounds.regret import regret_from_offsets
from bayespref.errors import InfeasibleRestrictionError
from bayespref.report import plots_bounds
from bayespref.report.plots_style import to_svg
from bayespref.simulate.scenarios import blind_spot


def show(figure):
    """Show a figure."""
    return SVG(to_svg(figure))


# %% [markdown]
# ## A world with a blind spot
#
# Four states (kinds of prompt), two types of people, four items (answers), 20,000 comparisons. People of type 0 never
# ask in state 1, people of type 1 never in state 2. The type of each person is observed here, in the context column, so
# nothing below is due to guessing types.

# %%
world = blind_spot(seed=1)
table = world.comparisons
pd.crosstab(
    np.array(table.states)[table.state], np.array(table.contexts)[table.context], rownames=["state"], colnames=["type"]
)

# %% [markdown]
# ## Part 1: what no data can fix
#
# ### A posterior is not a bound
#
# Fit the model, and look at one difference in the cell that nobody visited: state 1, type 0, item 3 against item 0.

# %%
options = {"types_observed": True, "reward_scale": 2.0}
tree = bayespref.fit("latent_types", table, rng_key=0, options=options, draws=300, n_starts=1, progress=False)
tree = bayespref.analyse(tree, reward_range=world.reward_range, regions="state_type")
cell = {"state": "state 1", "type": "type 0"}
pair = cell | {"item": "item 3", "item_other": "item 0"}
reward = tree["posterior"]["reward"].sel(cell)
draws = (reward.sel(item="item 3") - reward.sel(item="item 0")).values.ravel()
interval = tuple(np.quantile(draws, [0.05, 0.95]))
group = tree["bounds"].sel(pair)
low, high = float(group["difference_lower"]), float(group["difference_upper"])
truth = world.reward[1, 0, 3] - world.reward[1, 0, 0]
print(f"90 % interval of the draws [{interval[0]:.2f}, {interval[1]:.2f}]; what the data allow [{low:g}, {high:g}]")

# %%
title = "Nobody asked: the posterior is the prior, and the data allow anything in the range"
show(plots_bounds.posterior_beside_set(draws, (low, high), interval=interval, truth=truth, title=title))

# %% [markdown]
# The posterior looks like knowledge. It is the prior: no comparison entered it. Another prior would give another
# interval with the same fit to every held-out comparison.
#
# > **Warning.** Never report an interval of prior-filled draws as a bound. It does not become right with more data: the
# > identified set stays wide while the interval settles strictly inside it.
#
# How often does each cover the set it speaks about? A thousand small worlds: two items compared n times, a third never.
# The data fix the first difference d better and better. The third item's reward stays anywhere in [0, 1].

# %%
rng = np.random.default_rng(0)
rows = []
for n in (200, 2_000, 20_000):
    known, error = rng.uniform(0.2, 0.8, 1000), 2.0 / np.sqrt(n)
    drawn = known + error * rng.normal(size=1000) + error * rng.normal(size=(500, 1000))  # posterior draws of d
    lower, upper = -(1.0 - drawn), np.ones_like(drawn)  # bounds of the third reward minus the first, draw by draw
    filled = rng.uniform(lower, upper)  # a draw of a flat prior on what is left open
    region = robust_credible_region(lower, upper, 0.9)
    ends = {
        "interval of prior-filled draws": np.quantile(filled, [0.05, 0.95], axis=0),
        "credible region of the set": (region.lower, region.upper),
    }
    covers = {name: np.mean((a <= -(1 - known) + 1e-12) & (b >= 1 - 1e-12)) for name, (a, b) in ends.items()}
    rows.append({"comparisons": n} | covers)
pd.DataFrame(rows).set_index("comparisons").style.format("{:.0%}")

# %% [markdown]
# The 90 % credible region of the *set* covers the set in about 90 % of worlds (Monte-Carlo error: 1 %). The 90 % interval of draws almost never does.
#
# ### Two worlds that no data can tell apart
#
# Let a policy play one item in state 1 for everybody. `two_world_certificate` returns two reward tables for that state:
# one in which the policy does well, one in which it does as badly as the data allow.

# %%
weights = world.type_weight
matrix, _ = regret_from_offsets(world.reward[1], world.component[1], weights, world.reward_range)
game = minimax_regret(matrix)
policy = np.eye(4)[int(game.pure_action)]
worlds = two_world_certificate(world.reward[1], world.component[1], weights, policy, world.reward_range)
title = "The same data, two worlds: only what type 0 wants in state 1 has moved"
show(
    plots_bounds.witness_worlds(
        (worlds.rewards_low, worlds.rewards_high),
        world.component[1],
        items=table.items,
        types=("type 0 (unseen)", "type 1"),
        names=("policy does well", "policy does worst"),
        played=int(game.pure_action),
        title=title,
    )
)

# %% [markdown]
# A line joins items that were compared with each other: between them nothing can move. You need not believe the package.
# Ten lines of NumPy check the claim on every comparison of the table:

# %%
both = np.stack([world.reward, world.reward])
both[0, 1], both[1, 1] = worlds.rewards_low, worlds.rewards_high
first = both[:, table.state, table.context, table.item_a]
second = both[:, table.state, table.context, table.item_b]
probability = 1 / (1 + np.exp(-(first - second)))
print("largest difference of a probability:", np.abs(probability[0] - probability[1]).max())
print("rewards within the range:", both.min() >= world.reward_range[0] and both.max() <= world.reward_range[1])
welfare = np.einsum("c,wca->wa", weights, both[:, 1])
regret = welfare.max(axis=1) - welfare @ policy
print(f"regret {regret[0]:.3f} and {regret[1]:.3f}: gap {regret[1] - regret[0]:.3f}, promised {float(worlds.gap):.3f}")

# %% [markdown]
# The difference is exactly zero. No estimator, no larger table and no better optimiser can tell these worlds apart, and
# whoever commits to that item loses the second number in one of them.

# %% [markdown]
# ## Part 2: how much is at stake: delta times H
#
# Suppose a share delta of deployment falls into the blind spot, actions tie elsewhere, and the reward range there is H.
# How much must be lost? It depends on who may choose, and among how many actions. With delta = 0.2 and H = 1, and two
# actions:

# %%
delta, H = 0.2, 1.0
two = np.array([[0, 1]])  # one type, two actions that were never compared: a component each
rows = []
for q in (0.0, 0.25, 0.5, 0.75, 1.0):
    found = two_world_certificate(np.zeros((1, 2)), two, np.ones(1), np.array([1 - q, q]), (0.0, H))
    rows.append({"probability of the second action": q, "largest regret": delta * float(found.regret_high)})
pd.DataFrame(rows).style.hide(axis="index").format("{:.2f}")

# %% [markdown]
# - **Deterministic policies** (q = 0 or 1): some world costs exactly delta H = 0.2. The bad world may depend on the
#   action: a policy that flips its coin *once and for all* is deterministic too.
# - **A fair coin over two actions** (q = 0.5): delta H / 2 in both worlds, and no rule does better.
# - The worst case of a rule is therefore *not* delta H "for every algorithm". It is delta H for each realised
#   deterministic policy, and half of that in expectation for the best coin.
#
# With more actions that were never compared, a coin buys less. The value is delta H (1 - 1/A), and a certificate with
# weights over A worlds proves that no policy is below it:

# %%
rows = []
for n_actions in (2, 3, 5, 10):
    alone, zeros = np.arange(n_actions)[None, :], np.zeros((1, n_actions))
    loss, _ = regret_from_offsets(zeros, alone, np.ones(1), (0.0, H))
    best = minimax_regret(loss)
    proof = policy_lower_bound(zeros, alone, np.ones(1), best.weights, (0.0, H))
    rows.append(
        {
            "actions": n_actions,
            "deterministic": delta * float(best.pure_value),
            "best coin": delta * float(best.value),
            "delta H (1 - 1/A)": delta * H * (1 - 1 / n_actions),
            "no policy is below": delta * float(proof.bound),
        }
    )
pd.DataFrame(rows).set_index("actions").style.format("{:.3f}")

# %% [markdown]
# And delta alone says little. If the types that *were* asked are not indifferent, their preference can outweigh the
# silent ones. Here 60 % of people prefer the second action by d, and 40 % were never asked:

# %%
rows = []
for d in (0.0, 0.2, 0.5, 0.8):
    offsets, component = np.array([[0.0, d], [0.0, 0.0]]), np.array([[0, 0], [0, 1]])
    loss, _ = regret_from_offsets(offsets, component, np.array([0.6, 0.4]), (0.0, 1.0))
    best = minimax_regret(loss)
    rows.append({"d of those asked": d, "regret V": float(best.value), "plays the second with": best.policy[1]})
pd.DataFrame(rows).style.hide(axis="index").format("{:.3f}")

# %% [markdown]
# At d = 0.8 nothing the silent 40 % could want changes the decision: V = 0. **Flag regions by V, not by delta.**

# %% [markdown]
# ## Part 3: what assumptions buy
#
# Assumptions carry information from cells that were visited into cells that were not. To keep sampling error out of the
# way, take the maximum-likelihood differences within components. No prior enters.

# %%
evidence = evidence_of_estimate(bayespref.maximum_likelihood(table, by=("state", "context")), table)
settings = {"reward_range": world.reward_range}
bought = assume(evidence, {"level_type_effect": 3.0}, **settings)
print(f"smallest kappa that the data allow: {float(bought['smallest_feasible'].squeeze()):.2f}")

# %% [markdown]
# `level_type_effect` says: the reward of one item differs by at most kappa between the types. A kappa below the smallest
# one is **refuted**, and the error says by which comparisons:

# %%
try:
    assume(evidence, {"level_type_effect": 1.0}, **settings)
except InfeasibleRestrictionError as error:
    print(f"refuted in {error.share_of_draws:.0%} of draws:")
    print("\n".join(error.constraints))

# %% [markdown]
# Between that and the full range, bounds nest. The same difference as above, in the cell nobody visited:

# %%
kappas = [1.0, 2.0, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0]
swept = sweep(evidence, {}, "level_type_effect", kappas, **settings)
bands = swept.sel(pair)
bands.attrs = swept.attrs
kappa = float(bought["breakdown"].sel(cell).squeeze())
title = f"One item is best in state 1 for type 0 up to kappa = {kappa:.2f}; weaker assumptions cost regret"
show(plots_bounds.nested_bands(bands, truth=truth, title=title))

# %% [markdown]
# Two warnings are in this picture. The truth lies outside the band at the far left: types really differ by more than
# that, and **an assumption that the data do not refute can still be false**. And the band of this pair reaches zero later
# than V leaves it, because V asks about all four items at once.
#
# The **breakdown value** is where V leaves zero: up to it one item is best in every world the assumption allows. By cell:

# %%
bought["breakdown"].squeeze("assumption").to_pandas().round(2)

# %% [markdown]
# - `inf`: the cell was visited, so no assumption is needed.
# - a number: the decision needs the assumption up to there. Is it plausible that types differ by no more?
# - `NaN`: no kappa settles it. In state 2, type 1, even the smallest kappa the data allow leaves the best item open.
#
# ### A stronger assumption, and what it costs to be wrong
#
# `interaction` says: how items compare is a state part plus a type part, up to eta. In a world where that is *true*, it
# fills the blind spot almost to a point:

# %%
additive = blind_spot(seed=1, scale=(1.0, 1.0, 0.0))
estimate = bayespref.maximum_likelihood(additive.comparisons, by=("state", "context"))
sums = evidence_of_estimate(estimate, additive.comparisons)
filled = sweep(
    sums,
    {},
    "interaction",
    [0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
    items=["item 0", "item 3"],
    reward_range=(-6.0, 6.0),
)
bands = filled.sel(pair)
bands.attrs = filled.attrs
truth_additive = additive.reward[1, 0, 3] - additive.reward[1, 0, 0]
title = "Where types only add, the blind spot fills almost to a point as eta falls"
show(plots_bounds.nested_bands(bands, truth=truth_additive, title=title))

# %% [markdown]
# The data refute eta = 0.1 only because estimates carry error. In the first world, where types and states do interact,
# the data refute every eta below four, and say so:

# %%
first = assume(evidence, {"interaction": 8.0}, breakdown_draws=1, items=["item 0", "item 3"], **settings)
print(f"first world: smallest eta {float(first['smallest_feasible'].squeeze()):.2f}")
second = assume(sums, {"interaction": 8.0}, breakdown_draws=1, items=["item 0", "item 3"], reward_range=(-6.0, 6.0))
print(f"additive world: smallest eta {float(second['smallest_feasible'].squeeze()):.2f}")

# %% [markdown]
# ### Under a posterior
#
# On a fitted tree `bounds` does the same draw by draw, and writes the group `bounds`. Draws that refute the assumption
# are left out, counted, and named in a warning.

# %%
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    assumed = bounds(tree, {"level_type_effect": 2.6}, max_draws=100, breakdown_draws=20)["bounds"]
print(*(str(one.message)[:160] + " ..." for one in said), sep="\n")
pd.DataFrame(
    {
        name: assumed[name].squeeze().sel(cell).values.reshape(-1)
        for name in ("value_without", "value", "breakdown_lower", "breakdown", "breakdown_upper", "share_certain")
    }
).style.hide(axis="index").format("{:.2f}")

# %% [markdown]
# Without the assumption the worst case costs 9; with it almost nothing. But look at the breakdown values: over draws they
# reach from `NaN` (no kappa settles it) to just above the smallest kappa the data allow, and one item is certainly best in
# only part of the draws. The decision stands on a narrow assumption, and the numbers say so.

# %% [markdown]
# ## Part 4: what randomising buys
#
# Back in state 1 of the first world, with no assumption but the range. A policy that does not see the type must choose
# for both; the silent type is half of them.

# %%
rows = [
    {"policy": "best single item", "largest regret": float(game.pure_value)}
    | dict(zip(table.items, policy, strict=True)),
    {"policy": "best coin", "largest regret": float(game.value)} | dict(zip(table.items, game.policy, strict=True)),
]
pd.DataFrame(rows).set_index("policy").style.format("{:.2f}")

# %% [markdown]
# The coin lowers the worst case here too, and the dual weights prove that nothing lowers it further. Where harm is what
# matters rather than regret in expectation, a coin is no comfort: each realised decision can still be the bad one. Then
# the alternatives are to **defer**, or to **ask**: a few comparisons by people of type 0 in state 1 remove the blind
# spot, and no assumption is needed any more.

# %%
asked = np.zeros_like(world.component[1])  # everything compared in both cells
loss, _ = regret_from_offsets(world.reward[1], asked, weights, world.reward_range)
print(f"V after asking: {float(minimax_regret(loss).value):.2f}; before: {float(game.value):.2f}")

# %% [markdown]
# ## What to remember
#
# | | what it does | what it costs |
# |---|---|---|
# | more of the same data | nothing in the blind spot | |
# | a prior | a number that looks like knowledge | undetectable error up to the range |
# | an assumption | bounds that nest, a breakdown value to argue about | wrong if the assumption is; sometimes refuted |
# | a coin | halves the worst case of two actions, less of more | every single decision may still be the bad one |
# | asking in the blind spot | removes it | some comparisons |
#
# ## Read on
#
# - [Bounds and assumptions](../docs/howto/bounds.md), [which bound](../docs/choosing.md); the mathematics:
#   [how wrong could a decision be](../docs/theory/bounds.md).
# - Next: [notebook 5](05_from_posterior_to_policy.ipynb) turns these bounds into decisions, case by case.
