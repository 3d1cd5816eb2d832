"""An interrupted run loses nothing: the same call goes on and gives the same draws."""

import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayespref.errors import FitFileError
from bayespref.fit.nuts import sample_nuts

SIZE = {"chains": 2, "warmup": 50, "draws": 150, "block": 50, "progress": False}


def _log_joint(x, scale):
    return -0.5 * jnp.sum((x / scale) ** 2)


def _sample(**kwargs):
    scale = jnp.array([1.0, 2.0])
    return sample_nuts(
        _log_joint, np.zeros(2), np.diag([1.0, 0.25]), (scale,), **{"rng_key": jax.random.key(3), **SIZE, **kwargs}
    )


@pytest.fixture(scope="module")
def uninterrupted():
    return _sample()


def test_checkpoints_change_no_draw(uninterrupted, tmp_path):
    kept = _sample(checkpoint=tmp_path / "run")
    assert np.array_equal(kept.flat, uninterrupted.flat)
    assert np.array_equal(_sample(checkpoint=tmp_path / "run").flat, uninterrupted.flat)


def test_a_chain_stopped_between_blocks_resumes_with_the_same_draws(uninterrupted, tmp_path, monkeypatch):
    from bayespref.fit import chains

    written = []

    def stop_after_six(*args, **kwargs):
        written.append(real_write(*args, **kwargs))
        if len(written) == 6:
            raise KeyboardInterrupt

    real_write = chains.write_checkpoint
    monkeypatch.setattr(chains, "write_checkpoint", stop_after_six)
    with pytest.raises(KeyboardInterrupt):
        _sample(checkpoint=tmp_path / "run")
    monkeypatch.setattr(chains, "write_checkpoint", real_write)
    resumed = _sample(checkpoint=tmp_path / "run")
    assert np.array_equal(resumed.flat, uninterrupted.flat)
    for name, values in uninterrupted.stats.items():
        assert np.array_equal(resumed.stats[name], values), name


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    _sample(checkpoint=tmp_path / "run", draws=50)
    with pytest.raises(FitFileError, match="another run"):
        _sample(checkpoint=tmp_path / "run", draws=50, rng_key=jax.random.key(4))


def test_a_truncated_checkpoint_is_refused_with_the_remedy(tmp_path):
    _sample(checkpoint=tmp_path / "run", draws=50)
    file = tmp_path / "run" / "chain1.npz"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(FitFileError, match="remove it"):
        _sample(checkpoint=tmp_path / "run", draws=50)


SCRIPT = """
import sys
import numpy as np
from bayespref.comparisons import from_codes
from bayespref.workflow import fit
a, b = np.array([0, 0, 1] * 8), np.array([1, 2, 2] * 8)
table = from_codes(a, b, np.arange(24) % 2, items=("x", "y", "z"))
folder = sys.argv[1] if sys.argv[1] != "none" else None
tree = fit("single", table, rng_key=5, chains=2, draws=4000, checkpoint=folder, progress=False)
np.save(sys.argv[2], tree["posterior"]["reward"].values)
"""


@pytest.mark.slow
def test_kill_minus_nine_in_the_middle_then_the_same_call_gives_the_same_draws(tmp_path):
    command = [sys.executable, "-c", SCRIPT]
    subprocess.run([*command, "none", str(tmp_path / "whole.npy")], check=True, timeout=300)
    folder = tmp_path / "run"
    process = subprocess.Popen([*command, str(folder), str(tmp_path / "killed.npy")])
    deadline = time.monotonic() + 200
    while not (folder / "chain0.npz").is_file():
        assert process.poll() is None, "the run ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed.npy").exists()
    subprocess.run([*command, str(folder), str(tmp_path / "killed.npy")], check=True, timeout=300)
    assert np.array_equal(np.load(tmp_path / "killed.npy"), np.load(tmp_path / "whole.npy"))
