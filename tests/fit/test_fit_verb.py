"""The public verb on a small table: options, errors, labels, and what the tree says against sums written out."""

import jax
import numpy as np
import pytest
from scipy import special

import bayespref
from bayespref.choice import choice_data
from bayespref.comparisons import from_codes
from bayespref.errors import ModelError, TableError
from bayespref.fit.evaluate import prior_draws
from bayespref.models import latent_types
from bayespref.posterior.store import load_fit, save_fit
from bayespref.posterior.tree import tree_comparisons, tree_meta

PEOPLE, LABELS, ITEMS = 12, 18, 3
PAIRS = np.array([(0, 1), (0, 2), (1, 2)])


def as_table(*, context=True, annotators=True):
    """Two groups of annotators with opposite tastes, each answering every pair in both states three times."""
    rng = np.random.default_rng(0)
    annotator = np.repeat(np.arange(PEOPLE), LABELS)
    pair = np.tile(np.repeat(np.arange(3), 6), PEOPLE)
    state = np.tile(np.arange(LABELS) % 2, PEOPLE)
    group = (annotator % 3 == 0).astype(int)
    reward = np.array([[2.0, 0.0, -2.0], [-2.0, 0.0, 2.0]])
    item_a, item_b = PAIRS[pair].T
    win = rng.random(len(pair)) < special.expit(reward[group, item_a] - reward[group, item_b])
    extra = {"annotator": annotator, "annotators": [f"u{i}" for i in range(PEOPLE)]} if annotators else {}
    if context:
        extra |= {"context": group, "contexts": ("many", "few")}
    return from_codes(
        item_a,
        item_b,
        np.where(win, 0, 1),
        items=("x", "y", "z"),
        state=state,
        states=("p", "q"),
        **extra,
    )


SIZES = {"chains": 2, "warmup": 100, "draws": 100, "n_starts": 4, "progress": False}


@pytest.fixture(scope="module")
def table():
    return as_table()


@pytest.fixture(scope="module")
def latent(table):
    return bayespref.fit("latent_types", table, rng_key=3, options={"n_types": 2}, **SIZES)


@pytest.fixture(scope="module")
def observed(table):
    return bayespref.fit("latent_types", table, rng_key=3, options={"types_observed": True}, **SIZES)


def row_probabilities(tree, table):
    """log P(state | type) P(outcome | type) of every row and draw, shape (chain, draw, type, row)."""
    reward = tree["posterior"]["reward"].transpose("chain", "draw", "type", "state", "item").values
    prompt = tree["posterior"]["prompt_prob"].transpose("chain", "draw", "type", "state").values
    difference = reward[..., table.state, table.item_a] - reward[..., table.state, table.item_b]
    sign = np.where(table.outcome == 0, 1.0, -1.0)
    return -np.logaddexp(0, -sign * difference) + np.log(prompt)[..., table.state]


def test_types_are_named_by_falling_weight_and_aligned_in_every_draw(latent):
    posterior = latent["posterior"]
    assert posterior["type"].values.tolist() == ["type 1", "type 2"]
    contrast = posterior["reward"].sel(item="x") - posterior["reward"].sel(item="z")
    assert (contrast.sel(type="type 1").mean("state") > 0).all()  # two thirds of the annotators
    assert (contrast.sel(type="type 2").mean("state") < 0).all()
    assert posterior["type_weight"].mean(("chain", "draw")).values[0] > 0.5
    assert not latent["fit"]["switched"].any()
    assert float(latent["fit"]["mode_type_weight"][0]) > 0.5


def test_log_likelihood_is_one_mixture_term_an_annotator(latent, table):
    rows = row_probabilities(latent, table)
    per_person = np.stack([rows[..., table.annotator == u].sum(-1) for u in range(PEOPLE)], axis=-1)
    weight = latent["posterior"]["type_weight"].transpose("chain", "draw", "type").values
    expected = special.logsumexp(np.log(weight)[..., None] + per_person, axis=2)
    found = latent["log_likelihood"]["label"]
    assert found.dims == ("chain", "draw", "annotator")
    assert found["annotator"].values.tolist() == [f"u{i}" for i in range(PEOPLE)]
    np.testing.assert_allclose(found.values, expected, rtol=1e-9)


def test_log_density_of_draws_is_likelihood_plus_prior_up_to_nothing(latent):
    """``lp`` exceeds the log-likelihood by the log-prior, which is a function of the parameters alone."""
    excess = latent["sample_stats"]["lp"] - latent["log_likelihood"]["label"].sum("annotator")
    z = latent["posterior"]["reward"].transpose("chain", "draw", ...).values.reshape(2, 100, -1)
    prompt = latent["posterior"]["prompt_prob"].transpose("chain", "draw", ...).values
    weight = latent["posterior"]["type_weight"].values
    expected = -0.5 * (z**2).sum(-1) + 5 * np.log(weight).sum(-1) + np.log(prompt).sum((-1, -2))
    gap = (excess.values - expected).ravel()
    np.testing.assert_allclose(gap, gap[0], atol=1e-8)


def test_expected_counts_add_up_to_the_table(latent, table):
    fit = latent["fit"]
    counted = fit["expected_count"].sum("type").values
    for q in range(counted.shape[0]):
        here = (
            (table.state == int(fit["question_state"][q]))
            & (table.item_a == int(fit["question_a"][q]))
            & (table.item_b == int(fit["question_b"][q]))
        )
        for column, code in enumerate(fit["outcome_code"].values):
            assert counted[q, column] == pytest.approx((here & (table.outcome == code)).sum())
    share = fit["expected_count"].sum(("question", "outcome")).values / len(table.outcome)
    np.testing.assert_allclose(share, [2 / 3, 1 / 3], atol=0.02)


def test_observed_types_keep_the_order_and_names_of_the_contexts(observed, table):
    assert observed["posterior"]["type"].values.tolist() == ["many", "few"]
    assert tree_meta(observed)["options"]["n_types"] == 2
    contrast = (observed["posterior"]["reward"].sel(item="x") - observed["posterior"]["reward"].sel(item="z")).mean()
    means = observed["posterior"]["reward"].mean(("chain", "draw", "state"))
    assert float(means.sel(type="many", item="x")) > 1.0 > -1.0 > float(means.sel(type="few", item="x"))
    assert np.isfinite(contrast)
    np.testing.assert_allclose(observed["fit"]["agreement"], 1.0)
    counts = observed["fit"]["expected_count"].sum(("question", "outcome")).values
    np.testing.assert_allclose(counts, [(table.context == 0).sum(), (table.context == 1).sum()])


def test_latent_types_find_what_observed_types_say(latent, observed):
    a = latent["posterior"]["reward"].mean(("chain", "draw")).transpose("type", "state", "item").values
    b = observed["posterior"]["reward"].mean(("chain", "draw")).transpose("type", "state", "item").values
    spread = observed["posterior"]["reward"].std(("chain", "draw")).transpose("type", "state", "item").values
    assert np.abs((a - b) / spread).max() < 0.75


def test_the_same_seed_gives_the_same_fit(latent, table):
    again = bayespref.fit("latent_types", table, rng_key=3, options={"n_types": 2}, **SIZES)
    assert again.identical(latent)


def test_key_and_integer_seed_agree(latent, table):
    again = bayespref.fit(latent_types, table, rng_key=jax.random.key(3), options={"n_types": 2}, **SIZES)
    np.testing.assert_array_equal(again["posterior"]["reward"], latent["posterior"]["reward"])


def test_every_prior_and_size_is_recorded(latent, table):
    meta = tree_meta(latent)
    assert meta["model"] == "latent_types"
    assert meta["options"]["n_types"] == 2
    assert meta["options"]["reward_scale"] == 1.0
    assert meta["options"]["weight_concentration"] == 5.0
    assert meta["seed"] == 3
    assert (meta["chains"], meta["warmup"], meta["draws"]) == (2, 100, 100)
    assert meta["data_hash"] == table.data_hash == tree_comparisons(latent).data_hash
    assert {"bayespref", "numpyro", "jax"} <= set(meta["versions"])


def test_a_real_fit_survives_saving(latent, tmp_path):
    assert load_fit(save_fit(latent, tmp_path / "fit.nc")).identical(latent)


def test_prior_draws_are_the_prior(table):
    data, _ = choice_data(table)
    drawn = prior_draws(latent_types, data, {"n_types": 2, "reward_scale": 1.5}, rng_key=jax.random.key(0), draws=4000)
    difference = drawn["reward"][:, 0, 0, 0] - drawn["reward"][:, 0, 0, 1]
    assert difference.std() == pytest.approx(1.5 * np.sqrt(2), rel=5 / np.sqrt(8000))
    assert drawn["type_weight"][:, 0].var() == pytest.approx(0.25 / 11, rel=0.12)  # Beta(5, 5)
    assert drawn["prompt_prob"][:, 0, 0].var() == pytest.approx(1 / 12, rel=0.1)  # uniform


def test_unknown_models_and_options_are_errors(table):
    with pytest.raises(ModelError, match="no_such_model"):
        bayespref.fit("no_such_model", table, rng_key=0, **SIZES)
    with pytest.raises(ModelError, match="reward_scales"):
        bayespref.fit("single", table, rng_key=0, options={"reward_scales": 2.0}, **SIZES)
    with pytest.raises(ModelError, match="features"):
        bayespref.fit("linear_types", table, rng_key=0, **SIZES)
    with pytest.raises(ModelError, match="2 contexts"):
        bayespref.fit("latent_types", table, rng_key=0, options={"types_observed": True, "n_types": 3}, **SIZES)


def test_observed_types_without_contexts_are_an_error():
    with pytest.raises(TableError, match="context"):
        bayespref.fit("latent_types", as_table(context=False), rng_key=0, options={"types_observed": True}, **SIZES)


@pytest.mark.parametrize("name", ["chains", "draws", "n_starts"])
def test_sizes_below_one_are_errors(table, name):
    with pytest.raises(ValueError, match=name):
        bayespref.fit("single", table, rng_key=0, **(SIZES | {name: 0}))


def test_a_negative_warmup_is_an_error(table):
    with pytest.raises(ValueError, match="warmup"):
        bayespref.fit("single", table, rng_key=0, **(SIZES | {"warmup": -1}))


@pytest.mark.parametrize(
    ("option", "value"), [("reward_scale", 0.0), ("reward_scale", -1.0), ("reward_scale", float("nan"))]
)
def test_prior_scales_that_are_no_scales_are_errors(table, option, value):
    with pytest.raises((ModelError, ValueError), match=option):
        bayespref.fit("single", table, rng_key=0, options={option: value}, **SIZES)


@pytest.mark.parametrize("n_types", [0, -1, 1.5])
def test_numbers_of_types_that_are_none_are_errors(table, n_types):
    with pytest.raises((ModelError, ValueError, TypeError), match="n_types"):
        bayespref.fit("latent_types", table, rng_key=0, options={"n_types": n_types}, **SIZES)


def test_a_table_of_weight_zero_is_an_error():
    table = from_codes(np.array([0]), np.array([1]), np.array([0]), items=("x", "y"), weight=np.zeros(1))
    with pytest.raises(ModelError, match="positive weight"):
        bayespref.fit("single", table, rng_key=0, **SIZES)
