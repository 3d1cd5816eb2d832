"""Counters and the escalation queue."""

from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayespref.defer.monitor import count_decisions, deferral_shares, escalation_queue, exposition

ROWS = st.lists(
    st.tuples(st.sampled_from(["act", "defer", "escalate"]), st.sampled_from(["no_data", "unseen_state"])), max_size=20
)


@given(ROWS, ROWS)
def test_counts_of_batches_add_up_whatever_the_frame(first, second):
    def frame(rows, build):
        return build({"decision": [r[0] for r in rows], "reason": [r[1] for r in rows]})

    for build in (pd.DataFrame, pl.DataFrame, pa.table):
        if build is pa.table and not (first and second):
            continue  # an empty Arrow column has no type to group by
        both = count_decisions(frame(first, build)) + count_decisions(frame(second, build))
        assert both == Counter(first + second)


def test_shares_count_what_did_not_act_against_everything():
    counts = Counter({("act", "score_below_threshold"): 5, ("defer", "no_data"): 2, ("escalate", "no_data"): 1})
    counts[("defer", "unseen_state")] = 2
    assert deferral_shares(counts) == {"no_data": 0.3, "unseen_state": 0.2}
    assert deferral_shares(Counter()) == {}


def test_exposition_has_one_line_a_pair():
    text = exposition(Counter({("defer", "no_data"): 2, ("act", "score_below_threshold"): 7}))
    assert text.splitlines() == [
        "# TYPE bayespref_decisions_total counter",
        'bayespref_decisions_total{decision="act",reason="score_below_threshold"} 7',
        'bayespref_decisions_total{decision="defer",reason="no_data"} 2',
    ]


def test_the_queue_puts_the_largest_gain_first_and_leaves_out_what_does_not_pay():
    drop, price, frequency = np.array([0.5, 0.1, 0.1, np.nan, 0.5]), np.array([0.2, 0.2, 0.0, 0.0, 0.2]), None
    queue = escalation_queue(drop, price, frequency=frequency)
    assert queue.order.tolist() == [0, 4, 2]
    np.testing.assert_allclose(queue.gain, [0.3, 0.3, 0.1])
    assert escalation_queue(drop, price, frequency=np.array([0, 9, 0, 9, 1.0])).order.tolist() == [1, 4]


def test_bad_input_is_refused_by_name():
    with pytest.raises(ValueError, match="reason"):
        count_decisions(pl.DataFrame({"decision": ["act"]}))
    with pytest.raises(ValueError, match="c_escalate"):
        escalation_queue(np.zeros(2), -1.0)
    with pytest.raises(ValueError, match="frequency"):
        escalation_queue(np.zeros(2), 0.0, frequency=np.ones(3))
