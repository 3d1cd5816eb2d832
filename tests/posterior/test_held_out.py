"""Held-out annotators against fits without them and sums by hand; the number of types."""

import jax
import numpy as np
import pytest

from bayespref.choice import choice_data
from bayespref.comparisons import from_codes
from bayespref.data.split import split_folds
from bayespref.errors import ModelError, TableError
from bayespref.fit.density import make_density
from bayespref.fit.em import find_modes
from bayespref.models import latent_types
from bayespref.simulate.annotate import annotate
from bayespref.simulate.population import independent_reward
from bayespref.workflow import comparing
from bayespref.workflow.comparing import choose_types, held_out_elpd

PEOPLE, LABELS, ITEMS = 60, 20, 4


def table_of(n_types, seed, *, people=PEOPLE, labels=LABELS, items=ITEMS, scale=1.0):
    rows = annotate(
        independent_reward(1, n_types, items, scale=scale, seed=seed),
        type_weight=np.full(n_types, 1 / n_types),
        prompt_prob=np.ones((1, n_types)),
        n_annotators=people,
        labels_per_annotator=labels,
        seed=seed + 1000,
    )
    return from_codes(
        rows.item_a,
        rows.item_b,
        rows.outcome,
        items=[f"i{a}" for a in range(items)],
        annotator=rows.annotator,
        annotators=[f"u{i}" for i in range(people)],
    )


@pytest.fixture(scope="module")
def two_types():
    return table_of(2, seed=3, scale=2.0)


def test_held_out_density_is_the_sum_by_hand_at_the_mode_of_the_others(two_types, monkeypatch):
    """The mode comes from a table without the held-out people, the density from a loop over their rows."""
    monkeypatch.setattr(comparing, "_TOLERANCE", 1e-9)
    comparing._program.cache_clear()
    found = held_out_elpd("latent_types", two_types, options={"n_types": 2}, n_folds=3, progress=False)
    comparing._program.cache_clear()
    split = split_folds(two_types, 3, seed=0)[0]
    with jax.enable_x64(True):
        data, outcome = choice_data(split.train)
        density = make_density(latent_types, data, {"n_types": 2})
        mode = find_modes(density, data, outcome, rng_key=jax.random.key(9), n_starts=3, progress=False)
        values = {name: np.asarray(value) for name, value in density.variables(mode.flat[0], data).items()}
    reward, weight = values["reward"][0], values["type_weight"]
    for name in split.held_out:
        joint = np.log(weight)
        rows = split.test.annotator == two_types.annotators.index(name)
        for a, b, said in zip(*(getattr(split.test, c)[rows] for c in ("item_a", "item_b", "outcome")), strict=True):
            won, lost = (a, b) if said == 0 else (b, a)
            joint = joint - np.log1p(np.exp(reward[:, lost] - reward[:, won]))
        one = found.sel(annotator=name)
        assert int(one["fold"]) == 0
        assert float(one["elpd"]) == pytest.approx(np.log(np.exp(joint).sum()), abs=1e-4)


def test_stopping_early_moves_no_density_by_a_tenth_of_a_nat(two_types):
    rough = held_out_elpd("latent_types", two_types, options={"n_types": 2}, n_folds=3, progress=False)
    fine = comparing._TOLERANCE
    try:
        comparing._TOLERANCE = 1e-9
        comparing._program.cache_clear()
        exact = held_out_elpd("latent_types", two_types, options={"n_types": 2}, n_folds=3, progress=False)
    finally:
        comparing._TOLERANCE = fine
        comparing._program.cache_clear()
    assert np.abs(rough["elpd"] - exact["elpd"]).max() < 0.1
    assert float(abs(rough["elpd_total"] - exact["elpd_total"])) < 0.3


def test_two_types_are_chosen_where_there_are_two_and_one_where_there_is_one(two_types):
    found = choose_types(two_types, (1, 2), n_folds=3, progress=False)
    assert int(found["chosen"]) == 2
    assert found.sizes == {"n_types": 2, "annotator": PEOPLE}
    np.testing.assert_allclose(found["pointwise"].sum("annotator"), found["elpd"])
    assert "The largest candidate was chosen" in found.attrs["words"]
    assert float(found["probability_best"].sel(n_types=2)) > 0.99
    alike = choose_types(table_of(1, seed=4), (1, 2), n_folds=3, progress=False)
    assert int(alike["chosen"]) == 1


def test_people_without_rows_have_no_density(two_types):
    some = two_types.select(two_types.annotator >= 10)
    found = held_out_elpd("single", some, n_folds=5, progress=False)
    assert found["annotator"].values.tolist() == [f"u{i}" for i in range(10, PEOPLE)]
    assert float(found["elpd_total"]) == pytest.approx(float(found["elpd"].sum()))


def test_what_cannot_be_compared_is_refused(two_types):
    with pytest.raises(TableError, match="annotator"):
        choose_types(two_types.pool("annotator"), (1, 2), progress=False)
    with pytest.raises(ModelError, match="increasing"):
        choose_types(two_types, (2, 1), progress=False)
    with pytest.raises(ModelError, match="n_types"):
        choose_types(two_types, (1, 2), options={"n_types": 3}, progress=False)
    with pytest.raises(ModelError, match="no option"):
        choose_types(two_types, (1, 2), model="single", progress=False)


@pytest.mark.slow
def test_the_number_of_types_is_right_in_18_of_20_worlds():
    """500 people with 40 labels each on 20 items, rewards N(0, 1): 20 worlds, one to five types tried in each.

    Seen when written: 20 of 20. At a true rate of 0.95, fewer than 18 of 20 right has probability 0.08; at 0.99 (what
    60 worlds would not contradict), 0.001. One type must never be taken for more in more than one of its seven worlds.
    """
    truth = [1] * 7 + [3] * 7 + [5] * 6
    chosen = []
    for i, n_types in enumerate(truth):
        world = table_of(n_types, seed=100 + i, people=500, labels=40, items=20)
        chosen.append(int(choose_types(world, n_starts=2, progress=False)["chosen"]))
    right = np.array(chosen) == np.array(truth)
    assert right.sum() >= 18, list(zip(truth, chosen, strict=True))
    assert right[:7].sum() >= 6
