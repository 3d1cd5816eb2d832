"""A likelihood spread over JAX's devices: each holds a part of the records, and sums by unit meet in one addition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from bayespref.choice import ChoiceData

RECORDS = "record"
"""Name of the mesh axis that records are dealt along."""


def shard_records(
    data: ChoiceData, outcome: Int[Array, " record"], devices: Sequence[Any] | None = None
) -> tuple[ChoiceData, Int[Array, " record"]]:
    """Spread the records of a table evenly over devices; questions, units and parameters are on every device.

    Every function of a density takes the result as it takes the table itself, and XLA adds what the devices found: a
    log-density is that of one device up to the order of summation. The records are filled up to a multiple of the
    number of devices with records of count zero, which add nothing.

    Parameters
    ----------
    data, outcome : ChoiceData, int array
        Records, sorted by unit.
    devices : sequence of jax devices, optional
        Default: all that JAX has.

    Returns
    -------
    data, outcome
        The same table, the arrays ``unit``, ``question``, ``count`` and ``outcome`` sharded.

    Examples
    --------
    >>> from bayespref.choice import choice_data
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 0]), np.array([1, 1]), np.array([0, 1]), items=("x", "y"))
    >>> data, outcome = shard_records(*choice_data(table))
    >>> float(data.count.sum())
    2.0
    """
    used = list(jax.devices() if devices is None else devices)
    mesh = Mesh(np.array(used), (RECORDS,))
    spread = NamedSharding(mesh, PartitionSpec(RECORDS))  # type: ignore[no-untyped-call]
    filled = -int(outcome.shape[0]) % len(used)

    def place(values: Any, filler: float) -> Array:
        whole = np.asarray(values)
        padded = np.concatenate([whole, np.full(filled, filler, dtype=whole.dtype)])
        return jnp.asarray(jax.device_put(padded, spread))

    on_all = NamedSharding(mesh, PartitionSpec())  # type: ignore[no-untyped-call]
    everywhere = jax.device_put(data, on_all)
    last = max(data.n_units - 1, 0)  # fillers come last, so that records stay sorted by unit
    spread_data = replace(
        everywhere, unit=place(data.unit, last), question=place(data.question, 0), count=place(data.count, 0.0)
    )
    return spread_data, place(outcome, 0)
