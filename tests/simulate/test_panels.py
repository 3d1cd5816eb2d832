"""Panels: different pairs, types at their shares, answers at the rates of their types."""

import numpy as np
import pytest

from bayespref.simulate.panels import label_panel

REWARD = np.array([[1.0, 0.0, -1.0], [-2.0, 0.0, 0.5]])


def test_everybody_answers_different_pairs_at_the_rates_of_their_type():
    table, kind = label_panel(REWARD, [0.7, 0.3], n_annotators=60_000, labels_per_annotator=2, seed=1)
    who = table.codes("annotator")
    assert (np.bincount(who) == 2).all()
    pair = table.item_a * 3 + table.item_b
    assert len(np.unique(who * 9 + pair)) == table.n_rows
    assert kind.mean() == pytest.approx(0.3, abs=0.01)
    for c, a, b in ((0, 0, 1), (0, 0, 2), (1, 0, 1), (1, 1, 2)):
        mine = (kind[who] == c) & (table.item_a == a) & (table.item_b == b)
        want = 1 / (1 + np.exp(REWARD[c, b] - REWARD[c, a]))
        share = (table.outcome[mine] == 0).mean()
        assert share == pytest.approx(want, abs=5 * 0.5 / np.sqrt(mine.sum()))
        assert mine.sum() / (kind[who] == c).sum() == pytest.approx(1 / 3, abs=0.02)


def test_more_labels_than_pairs_and_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match="3 pairs, got 4"):
        label_panel(REWARD, [0.5, 0.5], n_annotators=2, labels_per_annotator=4, seed=0)
    with pytest.raises(ValueError, match="reward, type_weight"):
        label_panel(REWARD, [1.0], n_annotators=2, labels_per_annotator=1, seed=0)
