"""Settings that must stand before JAX is imported: 64-bit floats, and a compile cache kept between runs."""

import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("bayespref", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bayespref")


def _data_folder() -> Path | None:
    for candidate in (os.environ.get("BAYESPREF_DATA"), _ROOT.parent / "shared" / "data"):
        if candidate and (Path(candidate) / "README.md").is_file():
            return Path(candidate)
    return None


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of the real data sets; tests that need it skip where it is absent."""
    folder = _data_folder()
    if folder is None:
        pytest.skip("real data sets not found: set BAYESPREF_DATA or place them in ../shared/data")
    return folder
