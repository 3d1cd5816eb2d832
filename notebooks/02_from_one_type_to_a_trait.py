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
# # From one type to latent types to a trait
#
# *Notebook 2 of 7 · before: [What a table of preferences can say, and what it cannot](01_what_a_table_can_say.ipynb) · next: [What was never asked](03_what_was_never_asked.ipynb)*
#
# | | |
# |---|---|
# | **Question** | Do all people want the same? If not, are there a few kinds of people, or does everybody differ a little? |
# | **You know already** | From notebook 1: items, annotators, types, log-odds; `fit`, and its verdict that the computation worked. |
# | **You will know** | How to tell a model that fits from one that merely converged: predictive checks, people left out, what the prior decides. |
# | **Takes** | About 30 s, once compiled. Data: 300 German voters of 2013 (GLES), from the folder of real tables (`BAYESPREF_DATA`). |
#
# In notebook 1 two types of traveller described the choices far better than one. But a model always answers, and a fit
# that converged may still be the wrong model. This notebook asks whether its answer is any good, in two ways:
#
# 1. **Predictive checks.** Run the fitted model forwards: do the tables it makes look like the one observed?
# 2. **Held-out people.** Fit without some people: how well are their answers predicted?
#
# The data are 300 of the German voters of a survey before the election of 2013 (GLES), who compared five parties. They
# are read from the folder of real tables, which is not part of the package.

# %%
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import SVG

warnings.filterwarnings("ignore", message="IProgress not found")  # no progress bars are shown here

import bayespref
from bayespref.posterior.elpd import loo_by_annotator
from bayespref.posterior.predict import check_words
from bayespref.posterior.verdict import convergence
from bayespref.report import fits, plots_posterior
from bayespref.report.plots_style import to_svg
from bayespref.workflow.checking import predictive_checks, prior_sensitivity
from bayespref.workflow.comparing import choose_types


def show(figure):
    """Show a figure."""
    return SVG(to_svg(figure))


def words(verdicts):
    """Show what checks say, and what to do where they fail."""
    rows = pd.DataFrame([(verdict.words, verdict.next_step) for verdict in verdicts], columns=["check", "next step"])
    return rows.style.hide(axis="index").set_properties(**{"text-align": "left"})


# %%
folders = [os.environ.get("BAYESPREF_DATA"), "../../shared/data", "../shared/data"]
files = [Path(folder) / "gles2013_parties" / "comparisons.csv" for folder in folders if folder]
survey = next((file for file in files if file.is_file()), None)
assert survey is not None, "the tables are not part of the package: set BAYESPREF_DATA to their folder"
answers = pd.read_csv(survey)
some = np.random.default_rng(0).permutation(answers["rater_id"].unique())[:300]
answers = answers[answers["rater_id"].isin(some)]
table = bayespref.read_comparisons(answers, adapter="labels", columns={"annotator": "rater_id"})
models = {
    "one type": ("latent_types", {"n_types": 1}),
    "two types": ("latent_types", {"n_types": 2}),
    "a trait": ("latent_traits", {"n_traits": 1}),
}
table

# %% [markdown]
# ## One type
#
# Start with the simplest model: everybody wants the same, and answers differ by chance alone.

# %%
trees = {}
for label, (model, options) in models.items():
    trees[label] = bayespref.fit(model, table, rng_key=0, options=options, draws=500, n_starts=4, progress=False)
    print(f"{label}: {convergence(trees[label])[0].words}")

# %% [markdown]
# (All models are fitted here at once, so that we can compare them below.) The fit converged. That says that the
# computation worked. It does not say that the model is right.
#
# Let the model make 200 tables: the same people are asked the same questions, and the model answers. Each statistic of
# the observed table should look like one more of these.

# %%
checks = {label: predictive_checks(tree) for label, tree in trees.items()}
words(check_words(checks["one type"]))

# %% [markdown]
# - **Win rates**, on the whole, and **ties** tell us little: a model with one reward per party can bend to them.
# - **Agreement**: any two people agree as often as they should. Nothing wrong here either!
# - **Spread of agreement** fails. Take pairs of people: some agree on nearly everything, others on nearly nothing. With
#   one type, pairs differ by chance only, and by far less than they do.
# - **Circular triads** fail. A circle is: this party over that one, that one over a third, the third over the first.
#   Chance makes many. These people make none at all.
#
# The mean agreement is right and its spread is wrong: an average over people who differ looks like people who doubt.
#
# ## Types: how many?
#
# `choose_types` predicts people it was not fitted on: four folds of people, each predicted from the other three. A
# model with too many types learns the noise of its people, and pays for it on others.

# %%
choice = choose_types(table, (1, 2, 3), model="latent_types", n_folds=4, n_starts=2, progress=False)
print(choice.attrs["words"])
show(plots_posterior.number_of_types(fits.type_rows(choice), title="Every further type predicts new people better"))

# %% [markdown]
# One type loses by hundreds of nats. But the curve has no end: three types beat two, and the sentence above says that
# the candidates ran out. When types never suffice, people may not come in kinds at all.
#
# Two types are still worth a look. They are what published analyses of these data find: a left-leaning and a
# conservative half.

# %%
posterior = trees["two types"]["posterior"]
rewards = posterior["reward"].mean(("chain", "draw")).squeeze().to_pandas()
rewards.insert(0, "share", posterior["type_weight"].mean(("chain", "draw")).to_series())
rewards.round(2)

# %% [markdown]
# ## A trait
#
# In place of kinds of people: one line, on which everybody has a place. Each party's reward rises or falls along it.

# %%
title = "One line from right to left orders the parties: nobody told the model"
show(plots_posterior.along_trait(fits.trait_rows(trees["a trait"]), title=title))

# %% [markdown]
# Each line is a party; the voters spread along the axis with standard deviation one. (Left and right of the axis may
# change places: a trait has no sign of its own.)
#
# ## Which model do the data support?
#
# All checks, all models. A red bar misses the observed value.

# %%
title = "More room for people to differ: closer to the spread of agreement, but no model makes as few circles"
show(plots_posterior.predictive_checks(fits.check_rows(checks), title=title))

# %% [markdown]
# The second way needs no second fit: *leave one person out*, by reweighting the draws. Pareto *k* says whether the
# weights can be relied on.

# %%
loo = {label: loo_by_annotator(tree) for label, tree in trees.items()}
best = max(loo.values(), key=lambda one: float(one["elpd_total"]))
rows = []
for label, one in loo.items():
    apart = (one["elpd"] - best["elpd"]).values
    error = np.sqrt(len(apart)) * apart.std(ddof=1)
    rows.append((label, float(one["elpd_total"]), apart.sum(), error, float(one["p_loo"]), one.attrs["words"]))
columns = ["model", "density of left-out people, nats", "minus the best", "s.e.", "parameters used", "weights"]
pd.DataFrame(rows, columns=columns).style.hide(axis="index").format(precision=1)

# %% [markdown]
# The trait predicts a person it has not seen better than two types do, and it uses fewer parameters. So people differ
# by degree along one line. Two types are a crude picture of it.
#
# And the check that *no* model passes? Not one circle among thousands of triads: noise that strikes each answer on its
# own always makes some. These answers look derived from one rating of each party. The lesson is about uncertainty: ten
# answers of a person are not ten independent observations. Count people.
#
# ## What does the prior decide?
#
# Make the prior a little stronger or weaker, and see which numbers move.

# %%
sensitivity = prior_sensitivity(trees["a trait"])
print(sensitivity.attrs["words"])
sensitivity[["prior", "likelihood", "diagnosis"]].to_dataframe().round(3)

# %% [markdown]
# Strong tastes pull against a prior that expects differences of about one log-odds: where it says *conflict*, a wider
# prior (`loading_scale=3.0`) gives somewhat larger numbers. It does not change who stands where.
#
# ## What to remember
#
# | Question | Ask | In this notebook |
# |---|---|---|
# | Did the computation work? | `convergence` | yes, for all three models, and two of them are poor |
# | Does the model make tables like mine? | `predictive_checks` | one type makes people agree too evenly |
# | How many types? | `choose_types`, on people left out | no end: a sign that people are not kinds |
# | Which of several models? | `loo_by_annotator` | the trait, with fewer parameters than two types |
# | What comes from the prior? | `prior_sensitivity` | the size of the loadings, in part |
#
# A good model of the people who answered says nothing yet about what they were never asked.
#
# ## Read on
#
# - [Fit, and know whether to trust it](../docs/howto/fit-and-trust.md); [which model](../docs/choosing.md); your own plots
#   of any fit with [ArviZ](../docs/howto/arviz.md).
# - Next: [notebook 3](03_what_was_never_asked.ipynb) looks for what was never asked, before any model is fitted.
