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
# # What was never asked
#
# *Notebook 3 of 7 · before: [From one type to latent types to a trait](02_from_one_type_to_a_trait.ipynb) · next: [What no data can fix, what assumptions buy, what randomising buys](04_what_no_data_can_fix.ipynb)*
#
# | | |
# |---|---|
# | **Question** | What does a table settle before any model is fitted, and what can it never settle? |
# | **You know already** | From notebooks 1 and 2: components, separation, cells. A model that describes people well still needs answers where it is used. |
# | **You will know** | How to find the four kinds of hole in a table that looks complete, and the comparisons that close each. |
# | **Takes** | About 5 s; nothing draws from a posterior. Data: eba in two countries and 59 language models, from the folder of real tables (`BAYESPREF_DATA`). |
#
# Before any model is fitted, a table already settles what it can tell and what it cannot: what matters is who was asked
# what. This notebook audits two real tables that look complete, finds the holes, shows that they are real, and ends
# each time with the list of comparisons that would close them.
#
# 1. **Eba**: 1,000 people in Nigeria and Cameroon rank food made from 13 kinds of cassava.
# 2. **LLM answers**: 124 crowd workers compare the answers of 59 language models to 13 prompts.

# %%
import os
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from IPython.display import SVG

import bayespref
from bayespref.graph.connect import connectivity
from bayespref.graph.coverage import coverage, missing_mass
from bayespref.report import plots
from bayespref.report.plots_style import to_svg

places = [os.environ.get("BAYESPREF_DATA", ""), "../shared/data", "../../shared/data"]
data = next((Path(place) for place in places if place and (Path(place) / "README.md").is_file()), None)
assert data is not None, "the tables are not part of the package: set BAYESPREF_DATA to their folder"


def read(name, **columns):
    """Read one of the tables."""
    path = data / name / "comparisons.csv"
    return bayespref.read_comparisons(path, adapter="labels", columns={"annotator": "rater_id", **columns})


def words(table):
    """Show a table of words, without row numbers."""
    return table.style.hide(axis="index").set_properties(**{"text-align": "left"})


def heat_map(count, rows, columns, title):
    """Show counts as a heat map; cells without a comparison are hatched."""
    cells = count.transpose(rows, columns).to_series().rename("count").reset_index()
    cells = cells.rename(columns={rows: "state", columns: "type"}).assign(is_empty=lambda cell: cell["count"] == 0)
    return SVG(to_svg(plots.coverage(cells, title=title)))


# %% [markdown]
# ## Part 1: eba in two countries
#
# Each person tasted three samples and said which was best and which worst, overall and in seven respects: colour,
# smoothness, and so on. These respects are the *states*. The country is the *context*: something we know about a
# person before they answer.

# %%
eba = read("gari_eba", context="country")
eba

# %% [markdown]
# 17,982 comparisons of 13 kinds is a lot, 230 for every pair. Every country has thousands of answers, so has every
# respect. Is there anything this table cannot say?

# %%
result = bayespref.check(eba)
words(result.to_frame()[["check", "verdict", "words"]])

# %% [markdown]
# Four of eleven checks fail. If you only look at the pooled table, all is well: each state is *connected*, which means
# that a chain of comparisons joins any two kinds (A was compared with B, B with C). The holes open when the countries
# are looked at one by one. Let us see each of them.
#
# ### Hole 1: respects that a country was never asked about

# %%
cells = coverage(eba)
heat_map(cells["count"], "state", "context", "Each country was never asked about two of the eight respects")

# %% [markdown]
# Four of 16 cells are empty. The margins give no hint: every respect has over a thousand answers, every country over
# seven thousand. `coverage` says the same in a sentence:

# %%
print(cells.attrs["statement"])

# %% [markdown]
# Suppose you build a product for both countries and care about all respects alike. How much of what it will be used
# for has never been asked?

# %%
even = xr.full_like(cells["mass"], 1 / cells["mass"].size)
print(f"{missing_mass(cells, even).delta:.0%} of the use falls on cells that nobody was asked about")

# %% [markdown]
# A quarter. What Cameroonians find smooth may be what Nigerians find smooth, but this table cannot tell: not with a
# better model, and not with ten times as many answers of the same kind.
#
# ### Hole 2: kinds that a country never saw

# %%
present = connectivity(eba, by=("context",))["n_item_comparisons"]
heat_map(present, "item", "context", "Five of thirteen kinds were tasted in both countries")

# %% [markdown]
# Five kinds were tasted in Nigeria only, three in Cameroon only. So there are 5 x 3 = 15 pairs of kinds that nobody
# ever tasted together. `check` lists them:

# %%
apart = result["contrasts within a context"].numbers["pairs"]
print(f"{len(apart)} pairs were never joined within a country; Sape and TMS6 among them: {['Sape', 'TMS6'] in apart}")
pd.DataFrame(apart, columns=["kind", "never with"]).groupby("kind")["never with"].apply(", ".join).to_frame()

# %% [markdown]
# (Each pair is listed once.) TMS6 and Sape matter most: each is near the top in its own country. Which is better?
#
# ### Why you should believe it
#
# A program that ranks items does not refuse the question. Pool the countries, and here is the ranking:

# %%
overall = eba.select(eba.state == eba.states.index("overall"))
pooled = bayespref.maximum_likelihood(overall, by=())
pooled["score"].to_series().sort_values(ascending=False).round(2).to_frame("pooled score").T

# %%
gap = pooled["difference"].sel(item="TMS6", item_other="Sape").item()
error = pooled["standard_error"].sel(item="TMS6", item_other="Sape").item()
print(f"TMS6 above Sape by {gap:.2f} log-odds, standard error {error:.2f}")

# %% [markdown]
# A tidy number with a tidy standard error, from no comparison at all. It comes from chains: TMS6 was compared with
# TMS1 *in Nigeria*, Sape with TMS1 *in Cameroon*. The chain holds only if TMS1 is worth the same in both countries,
# that is, if the countries share one taste. Ask each country by itself, and the number is gone:

# %%
by_country = bayespref.maximum_likelihood(overall, by=("context",))
pair = by_country.sel(item="TMS6", item_other="Sape")[["difference", "reason"]]
pair.to_dataframe()[["difference", "reason"]]

# %% [markdown]
# NaN (not a number) in both, with the reason: `disconnected`. Do the countries share one taste? On this the table does
# have something to say, because five kinds were tasted in both:

# %%
shared = result["items shared between contexts"].numbers["shared"]
codes = [eba.items.index(kind) for kind in shared]
both = overall.select(np.isin(overall.item_a, codes) & np.isin(overall.item_b, codes))
apart_fit = bayespref.maximum_likelihood(both, by=("context",))
together = bayespref.maximum_likelihood(both, by=())
apart_fit["score"].sel(item=shared).to_pandas().round(2)

# %%
gain = 2 * float(apart_fit["log_likelihood"].sum() - together["log_likelihood"])
print(f"two tastes beat one by {gain:.1f} (chance: about 4; above 13 once in 100) on {both.n_rows:,} comparisons")

# %% [markdown]
# They do not. Game Changer leads the five in Cameroon and is third in Nigeria. (Three comparisons come from one ranking
# and are not independent; even half of 29.7 would be beyond chance.) The assumption behind the chain is refuted where
# it can be tested, so the pooled answer on TMS6 against Sape should not be used, however small its standard error.
#
# ### What to ask next
#
# For every respect and country, `suggest_comparisons` lists the fewest pairs that would join every kind. For the
# overall judgement, these eight:

# %%
plan = bayespref.suggest_comparisons(overall, by=("context",), items="all")
words(plan[["context", "item_a", "item_b", "reason"]])

# %% [markdown]
# Bring the three Cameroonian kinds to Nigeria, or the five Nigerian ones to Cameroon; with either, TMS6 and Sape meet
# in one country. The empty cells need the questions themselves: firmness and odour in Nigeria, mouldability and
# smoothness in Cameroon. Until then a system should *defer* there ([notebook 5](05_from_posterior_to_policy.ipynb)),
# or say which assumption it makes and what that assumption could cost
# ([notebook 4](04_what_no_data_can_fix.ipynb)).

# %% [markdown]
# ## Part 2: 59 models, 13 prompts
#
# Crowd workers saw one prompt and the answers of two language models. Here the prompts are the states.

# %%
crowd = read("llmfao_crowd")
crowd

# %%
result = bayespref.check(crowd)
words(result.to_frame()[["check", "verdict", "words"]])

# %% [markdown]
# ### Hole 1: seventeen answers that nobody judged
#
# 750 of 767 cells (model, prompt) were seen. Here are the models with a gap, at the four prompts that have one:

# %%
missing = result["every item in every state"].numbers["missing"]
prompts = sorted({prompt for prompt, _ in missing})
models = sorted({model for _, model in missing})
seen = connectivity(crowd)["n_item_comparisons"].sel(state=prompts, item=models)
heat_map(seen, "item", "state", "Seventeen model x prompt cells were never judged")

# %% [markdown]
# 2 % of the cells looks harmless. It is not where a system picks *the best model for this prompt*: these models cannot
# be ranked there, and a method that ranks them anyway has filled the gap from other prompts.
#
# ### Hole 2: prompts where the data say who, but not by how much
#
# The second failure is quieter. At five prompts some models *always* won, or always lost, against all the rest. A win
# record of 20 : 0 says who is better; by how much, no finite number says best. These prompts are **separated**:

# %%
graph = connectivity(crowd)
fitted = bayespref.maximum_likelihood(crowd)
upper = np.triu(np.ones((crowd.n_items, crowd.n_items), dtype=bool), 1)
separated = pd.DataFrame(
    {
        "groups": graph["n_strong_components"].to_series(),
        "models in groups that only win": graph["always_wins"].sum("item").to_series(),
        "in groups that only lose": graph["always_loses"].sum("item").to_series(),
        "pairs without a finite difference": (fitted["reason"] == "separated").values[:, upper].sum(axis=1),
    }
)
separated[separated["groups"] > 1].sort_values("groups", ascending=False)

# %% [markdown]
# *Groups* are the strong components: inside one, wins run in circles and differences are finite. Across groups they run
# one way only. At `vendor-extract` thirteen models stand alone: nobody ever beat or tied them. One of them:

# %%
prompt = "vendor-extract"
winner = crowd.items[int(graph["always_wins"].sel(state=prompt).values.argmax())]
rows = crowd.select(crowd.state == crowd.states.index(prompt))
own = crowd.items.index(winner)
won = (rows.item_a == own) & (rows.outcome == 0) | (rows.item_b == own) & (rows.outcome == 1)
played = (rows.item_a == own) | (rows.item_b == own)
print(f"{winner} at {prompt}: won {won.sum()} of {played.sum()} comparisons")
against = fitted.sel(state=prompt, item=winner)[["difference", "reason"]].to_dataframe()
against.loc[against["reason"] != "", ["difference", "reason"]].head(3)

# %% [markdown]
# The estimate is infinite. Every tool that prints a number here got its size from somewhere else: a prior, a penalty,
# or the step at which it stopped.
#
# ### Why the number of answers does not help
#
# There are 8,931 answers by 124 people, and no prompt has fewer than 88 workers. But who answered what?

# %%
print(coverage(crowd, by=("state", "annotator")).attrs["statement"].split("(")[0])

# %% [markdown]
# A quarter of the (worker, prompt) cells is empty: workers chose what to do. If workers differ, a prompt shows the
# taste of those who came.
#
# ### What to ask next

# %%
plan = bayespref.suggest_comparisons(crowd)
words(plan[["state", "item_a", "item_b", "reason"]].head(8))

# %%
every = bayespref.suggest_comparisons(crowd, items="all")
pd.crosstab(every["state"], every["reason"])

# %% [markdown]
# 17 comparisons would give each missing cell its first answer, and 26 could end the separation (each only if the model
# listed second wins or ties; if it keeps losing, the honest answer stays "better, by an unknown amount").
#
# ## What to remember
#
# | hole | looks like | what to do |
# |---|---|---|
# | empty crossing | thousands of answers in every row and column | ask in that cell, or defer |
# | items in one context only | one connected graph | let them meet; test on shared items |
# | missing cell | 98 % of cells seen | one comparison, then more |
# | separation | a clear winner | ask closer rivals, or use the sign only |
#
# `bayespref check TABLE` does the first step from the command line and exits with 1 when a check fails, so that a
# pipeline can stop before a model is trained on what was never asked.
#
# ## Read on
#
# - [Gate in CI](../docs/howto/gate-ci.md); [which numbers rest on data](../docs/howto/audit.md);
#   [what comparisons can identify](../docs/theory/identification.md).
# - Next: [notebook 4](04_what_no_data_can_fix.ipynb). A hole is there, and nobody can be asked today: what then?
