"""A likelihood spread over four devices is the likelihood of one; run where JAX is told of four, in a process apart."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import jax
import jax.numpy as jnp
import numpy as np

from bayespref.choice import choice_data
from bayespref.comparisons import from_codes
from bayespref.fit.density import make_density
from bayespref.fit.sharding import shard_records
from bayespref.models import MODELS

assert len(jax.devices()) == 4
rng = np.random.default_rng(0)
n, people = 997, 60
annotator = np.sort(rng.integers(people, size=n))
a = rng.integers(3, size=n)
b = (a + rng.integers(1, 3, size=n)) % 3
table = from_codes(
    a, b, rng.integers(0, 3, n), items=("x", "y", "z"), state=rng.integers(2, size=n), states=("s", "t"),
    annotator=annotator, annotators=[f"p{k}" for k in range(people)],
)
data, outcome = choice_data(table)
density = make_density(MODELS["latent_types"], data, {"n_types": 2})
spread, answers = shard_records(data, outcome)
assert data.unit.shape[0] % 4, "the table must need fillers"
sizes = [shard.data.shape[0] for shard in spread.unit.addressable_shards]
assert len(set(sizes)) == 1 and len(sizes) == 4 and sum(sizes) < data.unit.shape[0] + 4, sizes
flat = jnp.asarray(rng.normal(size=density.size))
both = jax.jit(jax.value_and_grad(density.log_joint))
lowered = both.lower(flat, spread, answers).compile().as_text()
assert "all-reduce" in lowered or "reduce-scatter" in lowered, "nothing is added across devices"
one, four = both(flat, data, outcome), both(flat, spread, answers)
np.testing.assert_allclose(four[0], one[0], rtol=1e-12)
np.testing.assert_allclose(four[1], one[1], rtol=1e-9, atol=1e-9)
np.testing.assert_allclose(
    density.unit_log_joint(flat, spread, answers), density.unit_log_joint(flat, data, outcome), rtol=1e-12
)
"""
FIT = """
from bayespref.workflow import fit

size = {"chains": 1, "draws": 20, "n_starts": 1, "progress": False, "rng_key": 0, "method": "laplace"}
whole = fit("single", table, **size)
parts = fit("single", table, chain_method="sharded", **size)
np.testing.assert_allclose(parts["posterior"]["reward"], whole["posterior"]["reward"], atol=1e-7)
np.testing.assert_allclose(parts["log_likelihood"]["label"], whole["log_likelihood"]["label"], atol=1e-7)
"""


def in_four_devices(program: str) -> None:
    flags = "--xla_force_host_platform_device_count=4"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_density_over_four_devices_is_that_of_one():
    in_four_devices(PROGRAM)


@pytest.mark.slow
def test_fit_over_four_devices_is_that_of_one():
    in_four_devices(PROGRAM + FIT)
