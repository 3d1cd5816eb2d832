"""The judge of promises fails what breaks its promise, at either side, and passes what keeps it."""

import json

import numpy as np
import pytest

BROKEN = {
    "a share too low": lambda promise: promise.share("", 850, 1000, 0.9),
    "a share too high": lambda promise: promise.share("", 950, 1000, 0.9),
    "a share below what it is to be at least": lambda promise: promise.share("", 850, 1000, 0.9, "at least"),
    "a share above what it is to be at most": lambda promise: promise.share("", 950, 1000, 0.9, "at most"),
    "one miss of what holds always": lambda promise: promise.share("", 999, 1000, 1.0, "at least"),
    "a mean too high": lambda promise: promise.mean("", np.array([0.9, 1.0, 1.1] * 30), 0.5),
    "ranks that crowd at one end": lambda promise: promise.ranks("", np.full(200, -3.0), _draws(), 1e-3),
    "a posterior that is right, given as wrong": lambda promise: promise.caught("", _truth(), _draws(), 1e-6),
}
KEPT = {
    "a share": lambda promise: promise.share("", 905, 1000, 0.9),
    "more than at least": lambda promise: promise.share("", 990, 1000, 0.9, "at least"),
    "no miss": lambda promise: promise.share("", 1000, 1000, 1.0, "at least"),
    "a mean": lambda promise: promise.mean("", np.array([0.9, 1.0, 1.1] * 30), 1.0),
    "uniform ranks": lambda promise: promise.ranks("", _truth(), _draws(), 1e-3),
}


def _truth():
    return np.random.default_rng(0).normal(size=200)


def _draws():
    return np.random.default_rng(1).normal(size=(200, 99))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_fails(name, promise):
    with pytest.raises(AssertionError, match="is outside"):
        BROKEN[name](type(promise)("test", None))


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_promise_passes_and_is_written_down(name, promise, tmp_path):
    file = tmp_path / "promises.jsonl"
    KEPT[name](type(promise)("test", str(file)))
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert written
    assert all(low <= observed <= high for *_, observed, low, high, _, _ in written)
