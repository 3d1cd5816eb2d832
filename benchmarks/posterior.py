"""Posterior draws of one density by several samplers: effective draws a CPU second, and time to a thousand of them.

Every sampler runs in a process of its own on the same table, starts at the same mode and works on the same density
(checked at random points, up to a constant). Its draws come back as coordinates of that density; types are aligned to
the mode draw by draw, and the worst bulk effective sample size over rewards, type weights and prompt probabilities
counts. *Sampling* is warm-up and draws without imports and compilation; *cold* is the whole process, from its start to
the end of warm-up, plus what a thousand effective draws of the worst parameter take at the rate seen; C++ compilers
that PyTensor starts as child processes are not charged to PyMC.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.measure import Line, installed, require_close

STATES, ITEMS, TYPES, LABELS = 4, 10, 3, 30
WANTED = 1000


class Plan(NamedTuple):
    """Chains, warm-up and draws a chain of one sampler."""

    chains: int
    warmup: int
    draws: int


PLANS = {
    "gibbs": Plan(2, 100, 2000),
    "nuts": Plan(2, 100, 500),
    "numpyro": Plan(2, 300, 300),
    "pymc": Plan(2, 300, 300),
    "nutpie": Plan(2, 300, 300),
}
WORDS = {
    "gibbs": "bayespref, blocked Gibbs (the default here)",
    "nuts": "bayespref, whitened NUTS",
    "numpyro": "NumPyro, NUTS with diagonal metric",
    "pymc": "PyMC, NUTS",
    "nutpie": "nutpie",
}
TARGETS = {"pymc": (">= 10", ">= 3"), "nutpie": (">= 4", ">= 3")}


def rows_of(people: int, labels: int = LABELS) -> dict[str, np.ndarray]:
    """Rows sorted by annotator, ``labels`` each; who asks decides what is asked."""
    rng = np.random.default_rng(7)
    reward = rng.normal(size=(TYPES, STATES, ITEMS))
    prompt = rng.dirichlet(np.full(STATES, 2.0), TYPES)
    kind = np.repeat(rng.integers(0, TYPES, people), labels)
    n = len(kind)
    state = (rng.random(n)[:, None] > np.cumsum(prompt[kind], axis=1)).sum(1).clip(0, STATES - 1)
    a = rng.integers(0, ITEMS, n)
    b = (a + rng.integers(1, ITEMS, n)) % ITEMS
    d = reward[kind, state, a] - reward[kind, state, b]
    won = (rng.random(n) > 1 / (1 + np.exp(-d))).astype(np.int64)
    return {"a": a, "b": b, "won": won, "state": state, "annotator": np.repeat(np.arange(people), labels)}


def problem(rows: dict[str, np.ndarray]):
    """Our density, data and outcomes of the rows."""
    from bayespref.choice import choice_data
    from bayespref.comparisons import from_codes
    from bayespref.fit.density import make_density
    from bayespref.models import latent_types

    table = from_codes(
        rows["a"],
        rows["b"],
        rows["won"],
        items=[f"i{k}" for k in range(ITEMS)],
        state=rows["state"],
        states=[f"s{k}" for k in range(STATES)],
        annotator=rows["annotator"],
        annotators=[f"u{k}" for k in range(rows["annotator"].max() + 1)],
    )
    data, outcome = choice_data(table)
    return make_density(latent_types, data, {"n_types": TYPES}), data, outcome


def place_of(names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Positions of z, type_logit and prompt_logit in the flat vector."""
    start = {site: next(i for i, name in enumerate(names) if name.startswith(site + "[")) for site in SHAPES}
    return {site: start[site] + np.arange(int(np.prod(shape))).reshape(shape) for site, shape in SHAPES.items()}


SHAPES = {"z": (TYPES, STATES, ITEMS - 1), "type_logit": (TYPES - 1,), "prompt_logit": (TYPES, STATES - 1)}


# Workers: each prints nothing and writes draws, seconds of sampling and of the whole process to a file


def by_us(method: str, folder: Path, plan: Plan, rows: dict[str, np.ndarray]) -> dict[str, Any]:
    """Data in, modes, draws. The first block carries the compilation; it counts as long as the blocks after it."""
    import jax

    from bayespref.fit import chains, gibbs, nuts
    from bayespref.fit.em import find_modes
    from bayespref.fit.structure import find_blocks

    spent: list[float] = []

    def timed_chains(advance, *given, **named):
        def timed(state, passed):
            begin = time.process_time()
            result = jax.block_until_ready(advance(state, passed))
            spent.append(time.process_time() - begin)
            return result

        return chains.run_chains(timed, *given, **named)

    gibbs.run_chains = nuts.run_chains = timed_chains
    density, data, outcome = problem(rows)
    modes = find_modes(density, data, outcome, rng_key=jax.random.key(0), progress=False)
    start = (modes.flat[0], modes.precision)
    sizes = plan._asdict() | {"rng_key": jax.random.key(1), "progress": False}
    if method == "gibbs":
        drawn = gibbs.sample_gibbs(density, find_blocks(density, data), *start, data, outcome, **sizes)
    else:
        drawn = nuts.sample_nuts(density.log_joint, *start, (data, outcome), **sizes)
    process = time.process_time()
    if not (folder / "mode.npy").exists():
        np.save(folder / "mode.npy", modes.flat[0])
    return {"flat": drawn.flat, "sampling": sum(spent[1:]) + np.median(spent[1:]), "process": process}


def by_numpyro(folder: Path, plan: Plan, rows: dict[str, np.ndarray]) -> dict[str, Any]:
    import jax
    import jax.numpy as jnp
    from numpyro.infer import MCMC, NUTS

    density, data, outcome = problem(rows)
    mode = np.load(folder / "mode.npy")
    kernel = NUTS(potential_fn=lambda x: -density.log_joint(x, data, outcome))
    chains = MCMC(
        kernel, num_warmup=plan.warmup, num_samples=plan.draws, num_chains=plan.chains, chain_method="sequential",
        progress_bar=False,
    )  # fmt: skip
    start = jnp.tile(mode, (plan.chains, 1))
    chains.run(jax.random.key(0), init_params=start)
    process, begin = time.process_time(), time.process_time()
    chains.run(jax.random.key(1), init_params=start)
    flat = np.asarray(chains.get_samples(group_by_chain=True))
    return {"flat": flat, "sampling": time.process_time() - begin, "process": process}


def pymc_model(rows: dict[str, np.ndarray]):
    """The same density in PyMC: a table of log-probabilities, gathered by row, summed by annotator."""
    import pymc as pm
    import pytensor.tensor as pt

    from bayespref.choice import zero_sum_basis

    people = rows["annotator"].max() + 1
    labels = len(rows["a"]) // people
    low, high = np.minimum(rows["a"], rows["b"]), np.maximum(rows["a"], rows["b"])
    low_won = (rows["won"] == 0) == (rows["a"] < rows["b"])
    pairs = np.stack(np.triu_indices(ITEMS, 1), axis=1)
    number = np.zeros((ITEMS, ITEMS), dtype=int)
    number[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))
    column = (rows["state"] * len(pairs) + number[low, high]) * 2 + ~low_won
    column = column.reshape(people, labels)
    contrast = (zero_sum_basis(ITEMS)[pairs[:, 0]] - zero_sum_basis(ITEMS)[pairs[:, 1]]).T
    by_type, by_state = zero_sum_basis(TYPES).T, zero_sum_basis(STATES).T
    with pm.Model() as model:
        z = pm.Normal("z", 0, 1, shape=SHAPES["z"])
        type_logit = pm.Flat("type_logit", shape=SHAPES["type_logit"])
        prompt_logit = pm.Flat("prompt_logit", shape=SHAPES["prompt_logit"])
        log_weight = pt.special.log_softmax(type_logit @ by_type, axis=-1)
        log_prompt = pt.special.log_softmax(prompt_logit @ by_state, axis=-1)
        d = z @ contrast  # (type, state, pair)
        first = -pt.softplus(-d) + log_prompt[:, :, None]
        second = -pt.softplus(d) + log_prompt[:, :, None]
        table = pt.stack([first, second], axis=-1).reshape((TYPES, -1))
        joint = table[:, column].sum(-1) + log_weight[:, None]
        pm.Potential("answers", pt.logsumexp(joint, axis=0).sum())
        pm.Potential("priors", 5.0 * log_weight.sum() + log_prompt.sum())
    return model


def to_flat(draws: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    """(chain, draw, ...) arrays of the three sites as one flat vector a draw."""
    place = place_of(names)
    lead = draws["z"].shape[:2]
    flat = np.empty((*lead, len(names)))
    for site, where in place.items():
        flat[..., where.ravel()] = draws[site].reshape(*lead, -1)
    return flat


def from_flat(flat: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {site: flat[where] for site, where in place_of(names).items()}


def by_pymc(folder: Path, plan: Plan, rows: dict[str, np.ndarray]) -> dict[str, Any]:
    import pymc as pm

    names = tuple(np.load(folder / "names.npy"))
    start = from_flat(np.load(folder / "mode.npy"), names)
    with pymc_model(rows) as model:
        begin = time.process_time()
        check_density(model, folder)
        checking = time.process_time() - begin
        quiet: dict[str, Any] = {"progressbar": False, "random_seed": 1}
        _, step = pm.init_nuts(init="adapt_diag", chains=plan.chains, initvals=start, **quiet)
        begin = time.process_time()
        trace = pm.sample(
            plan.draws,
            tune=plan.warmup,
            chains=plan.chains,
            cores=1,
            step=step,
            initvals=start,
            compute_convergence_checks=False,
            **quiet,
        )
        sampling = time.process_time() - begin
    drawn = {site: trace["posterior"][site].values for site in SHAPES}
    return {"flat": to_flat(drawn, names), "sampling": sampling, "process": time.process_time() - checking}


def by_nutpie(folder: Path, plan: Plan, rows: dict[str, np.ndarray]) -> dict[str, Any]:
    import nutpie

    names = tuple(np.load(folder / "names.npy"))
    start = from_flat(np.load(folder / "mode.npy"), names)
    model = pymc_model(rows)
    compiled = nutpie.compile_pymc_model(model, initial_points=start, jitter_rvs=set())
    quiet: dict[str, Any] = {"cores": 1, "progress_bar": False, "seed": 1}
    nutpie.sample(compiled, draws=1, tune=1, chains=1, **quiet)
    begin = time.process_time()
    trace = nutpie.sample(compiled, draws=plan.draws, tune=plan.warmup, chains=plan.chains, **quiet)
    sampling = time.process_time() - begin
    drawn = {site: trace["posterior"][site].values for site in SHAPES}
    return {"flat": to_flat(drawn, names), "sampling": sampling, "process": time.process_time()}


def check_density(model: Any, folder: Path) -> None:
    """Log-densities of the two programs differ by one constant over random points."""
    points, ours = np.load(folder / "points.npy"), np.load(folder / "log_joint.npy")
    names = tuple(np.load(folder / "names.npy"))
    evaluate = model.compile_logp()
    theirs = np.array([float(evaluate(from_flat(point, names))) for point in points])
    require_close("log-density in PyMC", theirs - theirs[0], ours - ours[0], atol=1e-6)


WORKERS = {
    "gibbs": lambda *given: by_us("gibbs", *given),
    "nuts": lambda *given: by_us("nuts", *given),
    "numpyro": by_numpyro,
    "pymc": by_pymc,
    "nutpie": by_nutpie,
}


# The parent: starts the workers, aligns their draws, counts


def worst_ess(flat: np.ndarray, density, data, outcome, mode: np.ndarray) -> float:
    """Smallest bulk effective sample size of rewards, type weights and prompts after aligning types to the mode."""
    from arviz_stats.base import array_stats

    from bayespref.fit.evaluate import evaluate_draws
    from bayespref.posterior.align import match_types, reorder

    found = evaluate_draws(density, flat, data, outcome, mode)
    alignment = match_types(found.overlap)
    kept = [("reward", 3), ("type_weight", 2), ("prompt_prob", 2)]
    values = [reorder(found.variables[name], alignment.order, axis).reshape(*flat.shape[:2], -1) for name, axis in kept]
    return float(np.min(array_stats.ess(np.concatenate(values, axis=2), chain_axis=0, draw_axis=1, method="bulk")))


def compare(people: int, samplers: list[str], plans: dict[str, Plan], labels: int = LABELS) -> list[Line]:
    """Lines of the table for one size."""
    import jax
    import jax.numpy as jnp

    density, data, outcome = problem(rows_of(people, labels))
    means, results, lines = {}, {}, []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        points = 0.5 * np.random.default_rng(3).normal(size=(5, density.size))
        np.save(folder / "points.npy", points)
        np.save(folder / "names.npy", np.array(density.names))
        evaluate = jax.jit(density.log_joint)
        np.save(folder / "log_joint.npy", [float(evaluate(jnp.asarray(point), data, outcome)) for point in points])
        for sampler in samplers:
            if sampler in ("pymc", "nutpie") and not installed(sampler):
                lines.append(Line(WORDS[sampler], float("nan"), note="not installed"))
                continue
            command = [sys.executable, "-m", "benchmarks.posterior", sampler, name, str(people), str(labels)]
            command += [str(size) for size in plans[sampler]]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            with np.load(folder / f"{sampler}.npz") as got:
                flat, sampling, process = got["flat"], float(got["sampling"]), float(got["process"])
            mode = np.load(folder / "mode.npy")
            ess = worst_ess(flat, density, data, outcome, mode)
            means[sampler] = flat
            plan = plans[sampler]
            share = plan.draws / (plan.draws + plan.warmup)  # of sampling after warm-up
            cold = process - share * sampling + WANTED / ess * share * sampling
            results[sampler] = (ess / sampling, cold, ess, sampling)
        first = samplers[0]
        rate, cold_first = results[first][:2]
        for sampler, (own_rate, cold, ess, sampling) in results.items():
            ratio = rate / own_rate if sampler != first else float("nan")
            cold_ratio = cold / cold_first if sampler != first else float("nan")
            asked, asked_cold = TARGETS.get(sampler, ("", ""))
            note = f"{own_rate:.3g} effective draws a CPU second (worst {ess:.0f})"
            lines.append(Line(f"{WORDS[sampler]}: sampling", sampling, ratio, asked, note))
            lines.append(Line(f"{WORDS[sampler]}: cold start to 1,000", cold, cold_ratio, asked_cold))
    same_posterior(means, density, data, outcome, mode)
    return lines


def same_posterior(draws: dict[str, np.ndarray], density, data, outcome, mode) -> None:
    """All samplers agree on the mean log-density, within what their effective sizes allow."""
    import jax
    import jax.numpy as jnp
    from arviz_stats.base import array_stats

    evaluate = jax.jit(lambda xs: jax.lax.map(lambda x: density.log_joint(x, data, outcome), xs, batch_size=50))
    found = {}
    for name, flat in draws.items():
        value = np.asarray(evaluate(jnp.asarray(flat.reshape(-1, flat.shape[-1])))).reshape(flat.shape[:2])
        ess = float(array_stats.ess(value, chain_axis=0, draw_axis=1, method="mean"))
        found[name] = (value.mean(), value.std() / np.sqrt(ess))
    centre, error = next(iter(found.values()))
    for name, (mean, own) in found.items():
        require_close(f"mean log-density of {name}", mean, centre, atol=5 * np.hypot(error, own))


def run(quick: bool) -> list[Line]:
    if quick:  # that our samplers agree is tested by calibration
        return []
    return compare(300, list(PLANS), PLANS)


if __name__ == "__main__":
    sampler, folder, people, labels, *sizes = sys.argv[1:]
    written = WORKERS[sampler](Path(folder), Plan(*map(int, sizes)), rows_of(int(people), int(labels)))
    np.savez(Path(folder) / f"{sampler}.npz", **written)
