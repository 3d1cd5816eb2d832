"""What the device JAX picked costs: log-density with gradient, NUTS, Gibbs at three sizes, and whether it agrees.

    python -m benchmarks.device --write moments_cpu.json        # on a CPU: JAX_PLATFORMS=cpu
    python -m benchmarks.device --compare moments_cpu.json      # on the accelerator

Needs jax, numpyro, numpy, scipy, xarray, arviz-stats and this package's files; run it from the checkout. The tables are
the same everywhere (NumPy's generator). Densities must agree to rounding; draws are compared by their moments, since
another device rounds differently and chains then part ways.
"""

import argparse
import importlib
import importlib.util
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from bayespref.choice import choice_data
from bayespref.comparisons import from_codes
from bayespref.fit.density import make_density
from bayespref.fit.em import find_modes
from bayespref.fit.gibbs import sample_gibbs
from bayespref.fit.nuts import sample_nuts
from bayespref.fit.structure import find_blocks

SIZES = {"small": (300, 30), "middle": (3_000, 30), "large": (20_000, 50)}
STATES, ITEMS, TYPES = 4, 10, 3


def shipped_models():
    """bayespref.models; from a checkout that is not installed, the folder models/ under that name."""
    if importlib.util.find_spec("bayespref.models") is None:
        file = Path(__file__).resolve().parents[1] / "models" / "__init__.py"
        spec = importlib.util.spec_from_file_location(
            "bayespref.models", file, submodule_search_locations=[str(file.parent)]
        )
        sys.modules["bayespref.models"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["bayespref.models"])
    return importlib.import_module("bayespref.models")


def world(annotators, labels, seed=0):
    rng = np.random.default_rng(seed)
    prompts = rng.dirichlet(np.ones(STATES), size=TYPES)
    reward = rng.normal(size=(TYPES, STATES, ITEMS))
    kind = rng.choice(TYPES, annotators, p=rng.dirichlet(np.full(TYPES, 5.0)))
    who = np.repeat(np.arange(annotators), labels)
    state = (rng.random((len(who), 1)) > np.cumsum(prompts, axis=1)[kind[who]][:, :-1]).sum(1)
    a = rng.integers(0, ITEMS, len(who))
    b = (a + rng.integers(1, ITEMS, len(who))) % ITEMS
    gap = reward[kind[who], state, a] - reward[kind[who], state, b]
    outcome = (rng.random(len(who)) > 1 / (1 + np.exp(-gap))).astype(int)
    return from_codes(
        a,
        b,
        outcome,
        items=[f"i{i}" for i in range(ITEMS)],
        state=state,
        states=[f"s{i}" for i in range(STATES)],
        annotator=who,
        annotators=[f"u{i}" for i in range(annotators)],
    )


def timed(function):
    start = time.perf_counter()
    result = jax.block_until_ready(function())
    return result, time.perf_counter() - start


def rates(draw, few, many):
    """Seconds to compile and run ``few`` draws, and transitions a second between ``few`` and ``many``."""
    _, short = timed(lambda: draw(few).flat)
    found, long = timed(lambda: draw(many).flat)
    return found, short, (many - few) / max(long - short, 1e-9)


def measure(annotators, labels, slow):
    latent_types = shipped_models().latent_types
    data, outcome = choice_data(world(annotators, labels))
    density = make_density(latent_types, data, {"n_types": TYPES})
    key = jax.random.key(0)
    modes, em_seconds = timed(
        lambda: find_modes(density, data, outcome, rng_key=key, n_starts=2, max_steps=60, progress=False)
    )
    start = modes.flat[0], modes.precision
    both = jax.jit(jax.value_and_grad(density.log_joint))
    flat = jnp.asarray(start[0]) + 0.01
    jax.block_until_ready(both(flat, data, outcome))
    (value, gradient), seconds = timed(lambda: [both(flat, data, outcome) for _ in range(20)][-1])
    blocks = find_blocks(density, data)
    sizes = {"rng_key": jax.random.key(1), "chains": 1, "progress": False, "block": 50}

    def gibbs(draws):
        return sample_gibbs(density, blocks, *start, data, outcome, warmup=50, draws=draws, **sizes)

    def nuts(draws):
        return sample_nuts(density.log_joint, *start, (data, outcome), warmup=50, draws=draws, **sizes)

    drawn, gibbs_start, gibbs_rate = rates(gibbs, 50, 1050 if not slow else 450)
    moved, nuts_start, nuts_rate = rates(nuts, 50, 250 if not slow else 100)
    return {
        "records": int(data.unit.shape[0]),
        "modes_seconds": em_seconds,
        "gradient_ms": 1e3 * seconds / 20,
        "nuts_draws_per_s": nuts_rate,
        "nuts_first_call_s": nuts_start,
        "gibbs_sweeps_per_s": gibbs_rate,
        "gibbs_first_call_s": gibbs_start,
        "log_joint": float(value),
        "gradient_norm": float(jnp.linalg.norm(gradient)),
        "mode_log_joint": float(modes.log_joint[0]),
        "gibbs_mean": np.asarray(drawn).mean((0, 1)).tolist(),
        "gibbs_sd": np.asarray(drawn).std((0, 1)).tolist(),
        "nuts_mean": np.asarray(moved).mean((0, 1)).tolist(),
    }


def compare(name, here, there):
    """Differences that matter: densities relative, means in posterior standard deviations."""
    sd = np.array(there["gibbs_sd"])
    apart = np.abs(np.array(here["gibbs_mean"]) - np.array(there["gibbs_mean"])) / sd
    ratio = np.array(here["gibbs_sd"]) / sd
    relative = max(abs(here[q] / there[q] - 1) for q in ("log_joint", "gradient_norm", "mode_log_joint"))
    print(
        f"{name}: densities differ by {relative:.1e} (relative); Gibbs means by at most {apart.max():.2f} sd, "
        f"median {np.median(apart):.3f}; sd ratios {ratio.min():.2f} to {ratio.max():.2f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="file for moments and timings")
    parser.add_argument("--compare", type=Path, help="file written on another device")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    chosen = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    device = jax.devices()[0]
    print(f"device: {device.platform} ({device.device_kind}), jax {jax.__version__}")
    print(
        f"{'size':8}{'records':>10}{'grad ms':>9}{'NUTS/s':>9}{'Gibbs/s':>9}{'first NUTS s':>14}{'first Gibbs s':>15}"
    )
    results = {}
    for name in chosen.sizes:
        one = results[name] = measure(*SIZES[name], slow=name == "large")
        print(
            f"{name:8}{one['records']:>10}{one['gradient_ms']:>9.2f}{one['nuts_draws_per_s']:>9.1f}"
            f"{one['gibbs_sweeps_per_s']:>9.1f}{one['nuts_first_call_s']:>14.1f}{one['gibbs_first_call_s']:>15.1f}",
            flush=True,
        )
    if chosen.write:
        chosen.write.write_text(json.dumps({"device": device.device_kind, "results": results}))
    if chosen.compare:
        other = json.loads(chosen.compare.read_text())
        print(f"against {other['device']}:")
        for name in set(results) & set(other["results"]):
            compare(name, results[name], other["results"][name])


if __name__ == "__main__":
    main()
