"""Validators of array arguments; every message names the argument, the rule and the first bad values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayespref.errors import TargetMixError

_SHOWN = 5


def _first_bad(values: NDArray[np.float64], bad: NDArray[np.bool_]) -> str:
    where = np.argwhere(bad)[:_SHOWN]
    shown = ", ".join(f"{tuple(int(j) for j in i)}: {values[tuple(i)]!r}" for i in where)
    return f"{int(bad.sum())} bad value(s), first {{{shown}}}"


def as_float(name: str, values: ArrayLike, *, ndim: int | None = None, min_ndim: int = 0) -> NDArray[np.float64]:
    """Return ``values`` as float64, refusing what is not numeric or has the wrong number of axes."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: must be numeric, got {type(values).__name__} ({error})") from None
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name}: must have {ndim} axes, got shape {array.shape}")
    if array.ndim < min_ndim:
        raise ValueError(f"{name}: must have at least {min_ndim} axes, got shape {array.shape}")
    return array


def finite(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return ``values`` as float64, refusing NaN and infinities."""
    array = as_float(name, values)
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(f"{name}: must be finite; {_first_bad(array, bad)}")
    return array


def non_negative(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return ``values`` as float64, refusing NaN and negative entries (infinity is allowed)."""
    array = as_float(name, values)
    bad = ~(array >= 0)
    if bad.any():
        raise ValueError(f"{name}: must be >= 0; {_first_bad(array, bad)}")
    return array


def positive(name: str, value: float) -> float:
    """Return ``value`` as a float, refusing what is not a finite number above zero."""
    number = finite(name, value)
    if number.ndim or not number > 0:
        raise ValueError(f"{name}: must be a finite number above zero, got {value!r}")
    return float(number)


def at_least(name: str, value: int, least: int) -> int:
    """Return ``value``, refusing what is not a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name}: must be a whole number of at least {least}, got {value!r}")
    return int(value)


def between(name: str, values: ArrayLike, low: float, high: float) -> NDArray[np.float64]:
    """Return ``values`` as float64, refusing entries outside the closed interval [low, high]."""
    array = as_float(name, values)
    bad = ~((array >= low) & (array <= high))
    if bad.any():
        raise ValueError(f"{name}: must lie in [{low:g}, {high:g}]; {_first_bad(array, bad)}")
    return array


def simplex(name: str, values: ArrayLike, *, axis: int = -1, atol: float = 1e-8) -> NDArray[np.float64]:
    """Return ``values`` as float64, refusing what is not a probability vector along ``axis``."""
    array = as_float(name, values, min_ndim=1)
    bad = ~(array >= 0)
    if bad.any():
        raise TargetMixError(f"{name}: probabilities must be >= 0; {_first_bad(array, bad)}")
    total = array.sum(axis=axis)
    off = ~(np.abs(total - 1.0) <= atol)
    if off.any():
        raise TargetMixError(f"{name}: probabilities must sum to one; {_first_bad(np.asarray(total), np.asarray(off))}")
    return array


def same_shape(**arrays: NDArray[np.generic]) -> None:
    """Refuse arrays of different shapes, naming each."""
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError("shapes must agree: " + ", ".join(f"{name} {shape}" for name, shape in shapes.items()))


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """Return ``value`` if it is one of the allowed names."""
    if value not in allowed:
        raise ValueError(f"{name}: must be one of {list(allowed)}, got {value!r}")
    return value
