"""Deferral in use: guarantees by simulation, a stream of decisions over a blind spot, and what no calibration can buy.

``calibration``: thresholds from 300 (600) held-out units whose true risk is known, .05 + .45 score; a promise is broken
where the risk at the certified threshold exceeds alpha. ``stream``: blind-spot worlds, fitted cell by cell to 60 % of
400 people, thresholds calibrated on the rest, then 4,000 decisions a world with a quarter of them on B, the two (state,
type) cells of mass eps. ``region B``: the two worlds of a region without data.

Shows: the fixed sequence keeps its promise and accepts most where it starts late. The rule that reads identified sets
(``set_pure``) defers on exactly B and acts everywhere else, and so does the exported policy; each deferral saves what
a random item loses, less its price. Chow's rule, which reads the posterior alone, acts on B whenever the prior's own
guess of the regret is below the price. On B, acting with probability eta costs eta delta R in some world that draws the
very same calibration data; the calibration refuses to certify a region it never saw.

Does not show: that deferring on B is cheaper in every world. It is on average over worlds drawn from the prior, and in
the worst of those that fit the data; where the prior's guess is right, acting is. Types are observed here. At a mass of
.01 the calibrated rule still defers on some of B, at a loss: its guarantee is about labels, not about regret.

Where sources err: the coverage of the fixed sequence (.64), of a start at the least sample (.42) and of Bonferroni
(.43) is given without the grid of thresholds. Twenty steps reproduce all three; a hundred leave .30 and .35 for the
last two. The rates under shift (.026 with weights, .93 without) are given without the start: they are those of the same
twenty steps from the least sample; the recommended later start has .05 and .95, and keeps its promise of .1 as well.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayespref.bounds.regions import as_regions, draw_bounds, region_games
from bayespref.bounds.regret import two_world_certificate
from bayespref.data.split import Split, hold_out
from bayespref.defer.calibrate import learn_then_test
from bayespref.defer.heldout import held_out_units
from bayespref.defer.metrics import regret_saved
from bayespref.defer.regions import policy_from, score_regions
from bayespref.defer.stream import compare_rules, draw_cases, replay, rule_actions
from bayespref.errors import UncoveredRegionError
from bayespref.fit.density import make_density
from bayespref.fit.laplace import laplace_draws, stack_tables
from bayespref.graph.connect import components
from bayespref.models import latent_types
from bayespref.report.plots_studies import curves
from bayespref.report.plots_style import Figure
from bayespref.simulate.annotate import outcome_probabilities
from bayespref.simulate.scenarios import blind_spot
from bayespref.simulate.selective import accepted_risk, calibration_units
from bayespref.simulate.world import World
from bayespref.studies.runner import mean_and_error
from bayespref.target.fitdpo import pair_wins

SIZES = {"quick": {"repetitions": 1000, "worlds": 16}, "full": {"repetitions": 10_000, "worlds": 120}}
PEOPLE, DRAWS, CASES = 400, 300, 4000
PRICES = (0.3, 1.2)
"""Costs of deferring, log-odds. The prior's own guess of the regret on B is 1.03."""
METHODS: dict[str, dict[str, Any]] = {
    "fixed sequence": {},
    "fixed sequence from the least sample": {"start": 1.0},
    "Bonferroni": {"method": "bonferroni"},
}
WEIGHTS = ("weighted", "unweighted")
MASSES, ITEMS, CELLS = (0.0, 0.001, 0.01), 4, 8


def cases(*, repetitions: int, worlds: int) -> list[dict[str, Any]]:
    """Calibrations by grid and method, streams by mass of B, costs on a region without data."""
    plain = [("calibration", method, steps) for steps in (20, 100) for method in METHODS]
    moved = [("shift", f"{weights}, {method}", 20) for weights in WEIGHTS for method in list(METHODS)[:2]]
    return [
        *[{"kind": k, "setting": m, "size": s, "repetitions": repetitions} for k, m, s in plain + moved],
        {"kind": "stream", "setting": "", "size": 0, "repetitions": worlds},
        {"kind": "region B", "setting": "", "size": 0, "repetitions": 1},
    ]


def run_case(*, seed: int, kind: str, setting: str, size: int, repetitions: int) -> list[dict[str, Any]]:
    """Records of one piece."""
    if kind == "region B":
        return _region_b()
    if kind == "stream":
        return _streams(repetitions, seed)
    shifted = kind == "shift"
    grid, alpha = np.arange(1, size + 1) / size, 0.3 if shifted else 0.25
    weights, _, method = setting.rpartition(", ")
    records = []
    for repetition in range(repetitions):
        units = calibration_units(600 if shifted else 300, seed=np.random.SeedSequence([seed, repetition]))
        more = dict(METHODS[method])
        if weights == WEIGHTS[0]:
            rng = np.random.default_rng([seed, repetition, 1])
            more |= {"weights": units.weight, "weight_max": 2.0, "rng": rng}
        found = learn_then_test(units.score, units.loss, alpha=alpha, delta=0.1, grid=grid, **more).threshold
        used = 0.0 if found is None else found
        broken = found is not None and accepted_risk(found, shifted=shifted) > alpha + 1e-12
        records.append({"kind": kind, "rule": setting, "steps": size, "broken": float(broken), "coverage": used})
    return records


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Means and errors: shares of broken promises, and what every rule did on B and off it."""
    filled = records.assign(**{name: records[name].fillna(-1.0) for name in ("steps", "eps", "c_defer", "eta")})
    table = mean_and_error(filled, ["kind", "rule", "steps", "eps", "c_defer", "eta"])
    exact = table["kind"] == "region B"
    errors = [name for name in table if str(name).endswith("_se")]
    table.loc[exact, errors] = table.loc[exact, errors].fillna(0.0)
    return table


def figure(table: pd.DataFrame) -> Figure:
    """Cost per decision against the mass of B, by rule, at the higher price."""
    own = table[(table["kind"] == "stream") & (table["c_defer"] == PRICES[1])]
    names = {"chow": "Chow's rule (and always acting)", "set_pure": "identified sets", "calibrated": "calibrated"}
    return curves(
        own[own["rule"].isin(names)].assign(line=own["rule"].map(names)),
        x="eps",
        y="cost",
        by="line",
        log_x=True,
        title="Where nobody asked, reading the posterior alone costs more than deferring",
        x_label="mass of each blind cell in the log",
        y_label="cost per decision (log-odds)",
    )


def _streams(worlds: int, seed: int) -> list[dict[str, Any]]:
    """Fit every world at every mass of B, all in one program, and run the rules over its stream."""
    made = [
        (eps, k, blind_spot(eps=eps, n_annotators=PEOPLE, deployment_on_missing=0.25, seed=seed + k))
        for eps in MASSES
        for k in range(worlds)
    ]
    split = [hold_out(world.comparisons, share=0.4, seed=k) for _, k, world in made]
    with jax.enable_x64(True):
        stack = stack_tables([part.train.pool("annotator") for part in split], group_by_context=True)
        options = {"n_types": 2, "types_observed": True, "endogenous_prompts": False}
        density = make_density(latent_types, stack.data, options)
        reward = laplace_draws(density, stack, rng_key=jax.random.key(seed), draws=DRAWS)["reward"]
    parts = zip(made, split, reward, strict=True)
    return [row for (eps, k, world), part, draws in parts for row in _stream(eps, world, part, draws, seed + k)]


def _stream(eps: float, world: World, part: Split, reward: NDArray[np.float64], seed: int) -> list[dict[str, Any]]:
    """Every rule on one world's stream, at both prices."""
    train, test = part.train, part.test
    cell = train.state.astype(int) * 2 + train.codes("context")
    won = (train.outcome == 0).astype(float)
    wins = pair_wins(cell, train.item_a, train.item_b, won, n_states=CELLS, n_items=ITEMS)
    asked = wins + np.swapaxes(wins, -1, -2)
    component = components(asked).reshape(4, 2, ITEMS)
    upper = draw_bounds(reward, component, np.arange(ITEMS), world.reward_range, "widen").upper
    on_offer = np.ones((4, ITEMS), dtype=bool)
    even = np.full((len(reward), 4, 2), 0.5)
    games = region_games(*as_regions(reward, upper, even, on_offer, by_type=True))
    flag = np.where(asked.sum(axis=(1, 2)) == 0, "no_data", "")
    labels = [(s, c) for s in train.states for c in train.contexts]
    scored = score_regions(
        games.difference,
        games.regret,
        games.value,
        games.value_identified,
        available=np.ones((CELLS, ITEMS), dtype=bool),
        kept=games.kept,
        flag=flag,
        labels=labels,
        columns=("state", "context"),
        items=train.items,
        level=0.9,
    )
    safe = scored["set_pure"].values
    units = held_out_units(
        test, test.state.astype(int) * 2 + test.codes("context"), safe.argmin(axis=1), safe.min(axis=1), seed=seed
    )
    certificate = learn_then_test(
        units.score,
        units.loss,
        alpha=0.35,
        delta=0.1,
        grid=np.geomspace(0.001, 30.0, 40),
        region=units.region,
        n_regions=CELLS,
        force_defer=np.bincount(units.region, minlength=CELLS) == 0,
        rater=units.rater,
        fit_raters=[train.annotators[i] for i in np.unique(train.codes("annotator"))],
    )
    stream = draw_cases(world.deployment, CASES, seed=seed)
    frame = pd.DataFrame(labels, columns=["state", "context"])
    blind, rows = world.missing.ravel(), []
    for price in PRICES:
        actions = rule_actions(scored["chow"].values, safe, c_defer=price, flag=flag, certificate=certificate)
        exported = policy_from(scored, c_defer=price, rule="set_pure", data_hash=train.data_hash, assumptions=())
        codes = {name: k for k, name in enumerate(train.items)}
        said = exported.predict(frame)["action"].map(codes)
        actions["exported policy"] = said.fillna(-1).to_numpy().astype(np.int64)
        acting = replay(world.reward, stream, actions["act_always"].reshape(4, 2), c_defer=price).regret
        by_cell = {rule: action.reshape(4, 2) for rule, action in actions.items()}
        costs = compare_rules(world.reward, stream, by_cell, c_defer=price).set_index("rule")
        for rule, action in actions.items():
            deferred = (action < 0)[stream.state * 2 + stream.type]
            rows.append(
                {"kind": "stream", "rule": rule, "eps": eps, "c_defer": price}
                | {"deferral_rate": costs.loc[rule, "deferral_rate"], "cost": costs.loc[rule, "cost"]}
                | {
                    "deferred_on_b": float((action[blind] < 0).mean()),
                    "deferred_off_b": float((action[~blind] < 0).mean()),
                }
                | {"saved": regret_saved(deferred, acting, price)}
            )
    return rows


def _region_b() -> list[dict[str, Any]]:
    """Cost, in the worse of two worlds, of acting on a region without calibration data; what the calibration says."""
    delta, size = 0.2, 1.0
    records = []
    for eta in (0.0, 0.5, 1.0):
        for rule, policy in (("one item", np.array([1.0, 0.0])), ("a fair coin", np.array([0.5, 0.5]))):
            worlds = two_world_certificate(np.zeros((1, 2)), np.arange(2)[None], np.ones(1), policy, (0.0, size))
            high = worlds.rewards_high[0]
            contradicted = policy @ outcome_probabilities(high - high[::-1])[1]
            records.append(
                {"kind": "region B", "rule": rule, "eta": eta, "reward_loss": eta * delta * float(worlds.regret_high)}
                | {"label_loss": eta * delta * float(contradicted), "same_data": float(worlds.max_difference)}
            )
    score, seen = np.linspace(0.0, 1.0, 200), np.zeros(200, dtype=np.int64)
    settings: dict[str, Any] = {
        "alpha": 0.3,
        "delta": 0.1,
        "grid": np.array([0.5, 1.0]),
        "region": seen,
        "n_regions": 2,
    }
    try:
        learn_then_test(score, np.zeros(200), **settings)
        refused = 0.0
    except UncoveredRegionError:
        refused = 1.0
    forced = learn_then_test(score, np.zeros(200), **settings, force_defer=np.array([False, True]))
    acts = forced.accept(np.zeros(2), np.array([0, 1]))
    records.append({"kind": "region B", "rule": "calibrated", "refused": refused, "acts_on_b": float(acts[1])})
    return records
