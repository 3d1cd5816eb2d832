"""Export for a trainer: what a row means, that ties and resampling keep the loss, and what cannot be said."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayespref.comparisons import from_codes
from bayespref.target.dpo import weighted_dpo_loss
from bayespref.target.export import resample, trl_table, write_trl


def table():
    return from_codes(
        np.array([0, 1, 2, 0]),
        np.array([1, 2, 0, 2]),
        np.array([0, 1, 2, 3]),
        items=("x", "y", "z"),
        weight=np.array([1.0, 2.0, 1.0, 1.0]),
        state=np.array([0, 1, 1, 0]),
        states=("s", "t"),
    )


def test_texts_stand_for_labels_and_every_one_is_needed():
    plain, said = trl_table(table()), trl_table(table(), text={item: f"text {item}" for item in table().items})
    assert said["chosen"].tolist() == [f"text {item}" for item in plain["chosen"]]
    assert plain["weight"].sum() == pytest.approx(table().weight[table().outcome != 3].sum())
    with pytest.raises(ValueError, match="prompt: nothing is given for"):
        trl_table(table(), prompt={})


def test_rows_name_chosen_and_rejected_and_carry_weight_and_margin():
    score = np.array([[1.0, 0.0, 0.5], [0.0, 2.0, -1.0]])
    got = trl_table(table(), np.array([1.0, 0.5, 2.0, 1.0]), score=score)
    assert got.drop(columns="row").values.tolist() == [
        ["s", "x", "y", 1.0, 1.0],
        ["t", "z", "y", 1.0, -3.0],
        ["t", "z", "x", 1.0, -1.0],
        ["t", "x", "z", 1.0, 1.0],
    ]
    assert got.attrs["left_out_both_bad"] == 1
    assert got["row"].tolist() == [0, 1, 2, 2]
    assert trl_table(table(), np.ones(4))["margin"].isna().all()


def test_a_tie_in_both_orders_at_half_weight_is_the_loss_of_the_tie():
    z = 0.7
    both = weighted_dpo_loss([z, -z], [1.0, 1.0], [0.5, 0.5]) * 2
    assert both == pytest.approx(weighted_dpo_loss([z], [0.5], [1.0]), abs=1e-14)


@given(st.integers(0, 10_000), st.integers(1, 200))
def test_resampling_takes_each_row_its_whole_share(seed, n):
    rng = np.random.default_rng(seed)
    w = rng.exponential(size=12) * (rng.random(12) < 0.8) + 1e-300
    got = resample(w, n, seed=seed)
    count, want = np.bincount(got.rows, minlength=12), n * w / w.sum()
    assert len(got.rows) == n
    assert (np.abs(count - want) < 1 + 1e-9).all()
    assert 1 - 1e-9 <= got.n_eff <= 12 + 1e-9


def test_resampled_loss_is_the_weighted_loss_on_average():
    rng = np.random.default_rng(3)
    z, label, w = rng.normal(size=40), (rng.random(40) < 0.5).astype(float), rng.exponential(size=40)
    want = weighted_dpo_loss(z, label, w / w.mean())
    draws = [resample(w, 40, seed=s).rows for s in range(400)]
    got = np.array([weighted_dpo_loss(z[r], label[r], np.ones(40)) for r in draws])
    assert got.mean() == pytest.approx(want, abs=4 * got.std() / 20)
    assert f"n_eff {resample(w, 40, seed=0).n_eff:.1f}" in resample(w, 40, seed=0).recipe


def test_file_is_json_lines_with_null_for_what_is_undefined(tmp_path):
    path = write_trl(trl_table(table(), np.ones(4)), tmp_path / "train.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows[0] == {"prompt": "s", "chosen": "x", "rejected": "y", "weight": 1.0, "margin": None, "row": 0}
    assert len(pd.read_json(path, lines=True)) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: trl_table(table(), np.ones(3)), "weight: must have one entry a row"),
        (lambda: trl_table(table(), np.full(4, np.nan)), "weight: must be"),
        (lambda: resample(np.zeros(3), 2, seed=0), "at least one must be above zero"),
        (lambda: resample(np.ones(3), 0, seed=0), "n: must be a whole number"),
    ],
)
def test_bad_exports_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
