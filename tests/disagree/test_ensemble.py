"""Refits that agree: from data, or from a shared prior. Normal models give the exact answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayespref.disagree.ensemble import agreement_dataset, agreement_words, ensemble_agreement


def normal_refits(rng, n, information, prior_sd, truth):
    """Refits of independent items y ~ N(truth, 1 / information), prior N(centre, sd^2), paired over centres."""
    precision = information + prior_sd**-2.0
    noise = rng.normal(size=(n, *np.shape(truth))) / np.sqrt(np.maximum(information, 1e-300))
    seen = np.where(information > 0, truth + noise, 0.0)
    centre = rng.normal(size=(n, *np.shape(truth))) * prior_sd
    same = information * seen / precision
    return same, (information * seen + centre * prior_sd**-2.0) / precision, centre


def test_sensitivity_and_share_are_the_squared_contraction_of_a_normal_model():
    rng = np.random.default_rng(0)
    information = np.array([[[0.25, 0.25, 4.0, 4.0]]])
    found = ensemble_agreement(*normal_refits(rng, 4000, information, 2.0, np.zeros((1, 1, 4))))
    contraction = 1 / np.sqrt(1 + information[0, 0] * 4.0)
    for a, b in ((0, 1), (2, 3)):
        want = contraction[a] ** 2
        assert found.prior_sensitivity[0, 0, a, b] == pytest.approx(want, rel=1e-9)
        assert found.prior_share[0, 0, a, b] == pytest.approx(want, rel=0.08)


def test_agreement_in_an_empty_cell_is_called_the_priors_and_in_a_full_one_the_datas():
    rng = np.random.default_rng(1)
    truth = np.array([[[1.0, 0.0, -1.0]], [[1.0, 0.0, -1.0]]])
    information = np.array([[[400.0] * 3], [[0.0] * 3]])
    found = ensemble_agreement(*normal_refits(rng, 20, information, 1.0, truth))
    off = ~np.eye(3, dtype=bool)
    assert found.agrees[..., off].all()
    assert not found.agreement_is_from_prior[0].any()
    assert found.agreement_is_from_prior[1, 0][off].all()
    assert np.all(found.data_sd[1, 0][off] == 0)
    assert np.all(found.prior_sensitivity[0, 0][off] < 0.02)
    assert found.prior_sensitivity[1, 0][off] == pytest.approx(1.0)
    assert 0.35 < found.resampled_prior[1, 0][off].mean() < 0.6
    words = agreement_words(found)
    assert "misleading" in words
    assert "6 of 6 contrasts, but on 3 of these only because they share a prior" in words
    data = agreement_dataset(found, {"state": ["s", "t"], "type": ["u"], "item": list("xyz")}, seed=3)
    assert bool(data["agreement_is_from_prior"].sel(state="t", type="u", item="x", item_other="y"))
    assert data.attrs["statement"] == words
    assert data.attrs["seed"] == 3


def test_refits_that_disagree_are_not_said_to_agree():
    rng = np.random.default_rng(2)
    same = rng.normal(size=(20, 1, 1, 2))
    found = ensemble_agreement(same, same)
    assert not found.agrees.any()
    assert not found.agreement_is_from_prior.any()
    assert agreement_words(found).startswith("agreement of refits: none")


def test_refits_that_disagree_under_one_prior_are_not_called_the_priors_however_much_the_prior_moves_them():
    rng = np.random.default_rng(3)
    same, move = rng.normal(size=(2, 20, 1, 1, 2))
    found = ensemble_agreement(same, same + 10 * move)
    assert found.prior_share[0, 0, 0, 1] > 0.9
    assert not found.agreement_is_from_prior.any()


@given(st.integers(0, 2**31), st.permutations(range(4)))
def test_renaming_items_renames_the_answer_and_a_constant_changes_nothing(seed, order):
    rng = np.random.default_rng(seed)
    same, extra = rng.normal(size=(2, 6, 2, 1, 4))
    found = ensemble_agreement(same, same + extra)
    shift = rng.normal(size=(6, 2, 1, 1))
    other = ensemble_agreement(same[..., order] + shift, (same + extra)[..., order] - shift)
    for name, value in found._asdict().items():
        assert getattr(other, name) == pytest.approx(value[..., order, :][..., order], nan_ok=True, abs=1e-9), name


def test_unpaired_or_single_refits_are_refused():
    with pytest.raises(ValueError, match="pair"):
        ensemble_agreement(np.zeros((3, 1, 1, 2)), np.zeros((4, 1, 1, 2)))
    with pytest.raises(ValueError, match="two refits"):
        ensemble_agreement(np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 1, 2)))
    with pytest.raises(ValueError, match="prior_move"):
        ensemble_agreement(np.zeros((3, 1, 1, 2)), np.zeros((3, 1, 1, 2)), np.zeros((2, 1, 1, 2)))
