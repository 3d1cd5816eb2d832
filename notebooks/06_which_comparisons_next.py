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
# # Which comparisons to collect next
#
# *Notebook 6 of 7 · before: [From a posterior to a policy, and from a policy to a stream of decisions](05_from_posterior_to_policy.ipynb) · next: [Whom the policy is for](07_whom_the_policy_is_for.ipynb)*
#
# | | |
# |---|---|
# | **Question** | Which comparisons should be collected next, from whom, and how many? |
# | **You know already** | From notebooks 3 and 5: holes, and what deferring there costs. A hole that is known should be filled at least cost. |
# | **You will know** | What a label informs, how to turn a fit into a table for a labelling team, and how to see that overlap or answers are not what they seem. |
# | **Takes** | About 15 s, once compiled. Data: simulated. |
#
# This notebook goes from information to designs, from a fit to a table that a labelling team can use, and to the audits
# that say whether overlap is real.

# %%
import json
import warnings

import numpy as np
import pandas as pd
from IPython.display import SVG

warnings.filterwarnings("ignore", message="IProgress not found")  # no progress bars are shown here

import bayespref
from bayespref.comparisons import from_codes
from bayespref.design.adequacy import adequacy
from bayespref.design.audit import quadrants, worst_pairs
from bayespref.design.label_drift import label_drift
from bayespref.design.mixture import optimal_mixture
from bayespref.information import gaussian_fisher
from bayespref.report import plots_design
from bayespref.report.plots_style import to_svg
from bayespref.simulate.regimes import correlation_sweep
from bayespref.simulate.scenarios import blind_spot


def show(figure):
    """Show a figure."""
    return SVG(to_svg(figure))


def words(table):
    """Show a table of words, without row numbers."""
    return table.style.hide(axis="index").format(precision=3).set_properties(**{"text-align": "left"})


# %% [markdown]
# ## What a comparison informs
#
# Two features of answers, how helpful and how long. In the passive log they nearly always move together. A second
# source moves them against each other.

# %%
w = np.array([1.0, 0.5])
rows = correlation_sweep(0.9, n=1500, seed=1)
arms = gaussian_fisher(rows.covariance, w)
best = optimal_mixture(arms)
show(
    plots_design.information_ellipses(
        {"passive": arms[0], "half of each": arms.mean(axis=0), "best mix": best.information},
        ("helpful", "long"),
        title="The passive log leaves one direction out",
    )
)

# %% [markdown]
# Each outline is one standard error around the coefficients per label; its long axis is the direction that is known
# worst. The best mix takes 69 % from the passive source, not half: margins saturate less there across the coefficients.
# How far it is from the best that any mix could do is not taken on trust: `gap` is the distance to an upper bound.
#
# Now say that a label of the designed source costs three times as much. What does a larger budget per label buy?

# %%
print(f"share of the passive source {best.weights[0]:.3f}, value {best.value:.5f}, gap {best.gap:.1e}")
caps = np.linspace(1.0, 2.5, 7)
designs = [optimal_mixture(arms, cost=[1, 3], cost_cap=cap) for cap in caps]
frontier = pd.DataFrame(
    {
        "design": "best mix under the cap",
        "cost": caps,
        "lambda_min": [design.value for design in designs],
        "upper_bound": [design.upper_bound for design in designs],
    }
)
title = "Beyond a mean cost of about 1.6 more money buys nothing"
show(plots_design.cost_frontier(frontier, title=title, x_label="largest mean cost of a label"))

# %% [markdown]
# ## Is the overlap real?
#
# A least eigenvalue can rest on a few odd comparisons. The quadrants show it, and `worst_pairs` names the rows that
# somebody should read.

# %%
show(plots_design.quadrant_plot(rows.difference, ("helpful", "long"), title="Helpful and long come together"))

# %%
words(quadrants(rows.difference, ("helpful", "long"), [("helpful", "long")])[["antipodal_min", "words"]])

# %%
audit = worst_pairs(rows.difference, w, rng=np.random.default_rng(0), k=10)
print(f"{audit.half} of {len(audit.load)} comparisons carry half of what is known about the worst direction")
print("read these rows:", audit.review.tolist())

# %% [markdown]
# Could a trade-off have been learned from these comparisons at all? The verdict needs no label.

# %%
claims = {"helpful + long": np.array([1.0, 1.0]), "helpful - long": np.array([1.0, -1.0])}
words(adequacy(rows.difference, w, claims, 0.5, rng=np.random.default_rng(0))[["claim", "verdict", "words"]])

# %% [markdown]
# ## From a fit to a table for a labelling team
#
# The world of notebooks 4 and 5: four states, two types, and two of the eight cells were never asked about.

# %%
world = blind_spot(eps=0.0, seed=1)
tree = bayespref.fit(
    "latent_types",
    world.comparisons,
    rng_key=0,
    options={"types_observed": True, "reward_scale": 2.0},
    chains=2,
    draws=400,
    n_starts=2,
    progress=False,
)
proposals = bayespref.next_comparisons(tree, 500, reward_range=world.reward_range)
proposals.drop(columns="why").round(3)

# %%
print(proposals["why"][0])
print(proposals.attrs["assumptions"])
pd.DataFrame(json.loads(proposals.attrs["regions"])).round(3)

# %% [markdown]
# `V` is the regret that no further data of the logged kind removes: 9 in the two empty cells, 0 once the proposals are
# answered. All 500 go there.

# %%
table = world.comparisons
shape = {"index": list(table.states), "columns": list(table.contexts)}
before = pd.DataFrame(0.0, **shape)
np.add.at(before.values, (table.state, table.context), 1.0)
asked = proposals.pivot_table(index="state", columns="context", values="n", aggfunc="sum").reindex(**shape).fillna(0)
show(plots_design.coverage_change(before, before + asked, title="All 500 go to the two empty cells", segment="context"))

# %% [markdown]
# Money changes the table: here answers of type 0 cost four times as much.

# %%
dear = bayespref.next_comparisons(tree, 500, cost={"type 0": 4.0, "type 1": 1.0}, reward_range=world.reward_range)
dear.groupby("context")[["n", "cost"]].sum()

# %% [markdown]
# ## Have the answers changed?
#
# Other questions are no other answers: within a question, labels are exchangeable in time unless people changed. The
# test permutes them, so its false-alarm rate is the one it states.

# %%
rng = np.random.default_rng(0)
n = 1200
state = rng.integers(3, size=n)
late = np.arange(n) >= 800
outcome = (rng.random(n) > np.where(late, 0.45, 0.8)).astype(int)
log = from_codes(
    np.zeros(n, dtype=int),
    np.ones(n, dtype=int),
    outcome,
    items=("x", "y"),
    state=state,
    states=("s", "t", "u"),
    timestamp=np.arange(n) * 1.0,
)
drift = label_drift(log, rng=rng, n_permutations=199)
print(drift.words)
drift.shares.round(2)

# %% [markdown]
# ## What to remember
#
# | Question | Ask |
# |---|---|
# | What does a label inform? | `gaussian_fisher`, `fisher`, `overlap` |
# | Which mix of sources is best, and provably so? | `optimal_mixture` |
# | What should the team ask next? | `next_comparisons`, `next_edits` |
# | Could this trade-off have been learned? | `adequacy` |
# | Which comparisons should an expert read? | `worst_pairs`, `quadrants` |
# | Did the answers change? | `label_drift` |
#
# ## Read on
#
# - [Collect](../docs/howto/collect.md); the mathematics: [which comparisons to collect](../docs/theory/design.md); the
#   study [next-comparisons](../docs/studies/next-comparisons.md) asks what following the proposals is worth.
# - Next: [notebook 7](07_whom_the_policy_is_for.ipynb). So far the policy was for those who answered.
