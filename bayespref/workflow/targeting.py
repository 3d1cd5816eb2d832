"""Tilt what a fit says the declared target wants: the remedy where types differ."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

import bayespref
from bayespref.checks import between
from bayespref.comparisons import Comparisons
from bayespref.dims import CHAIN, DRAW, ITEM, STATE, TYPE
from bayespref.errors import EffectModification, LabelAlignmentError, RegimeError
from bayespref.files import replacing
from bayespref.graph.typed import edge_floor, typed_graph
from bayespref.posterior.store import load_fit, save_fit
from bayespref.posterior.tree import tree_comparisons, tree_meta
from bayespref.provenance import file_hashes, sealed_json, stamp
from bayespref.target.constrained import constrained_tilt
from bayespref.target.export import resample, trl_table, write_trl
from bayespref.target.regime import Regime, read_regime, target_shares
from bayespref.target.regime_weights import logged_hash
from bayespref.target.tilt import average_reward, tilted_draws
from bayespref.target.trust import TRUSTED
from bayespref.workflow.reweighting import reweight

_LEAST_AGREEMENT = 0.9
SCALE = "rewards of all types share one scale (log-odds); no comparison shows it"


def target(
    tree: xr.DataTree,
    regime: Regime,
    *,
    reference: Float[np.ndarray, "state item"] | None = None,
    level: float = 0.9,
    max_draws: int = 1000,
) -> xr.DataTree:
    """Add the group ``target``: the best policy for a declared population, with draws of its welfare.

    The policy tilts the posterior mean of the type-averaged reward, which maximises the posterior mean of J. A state in
    which a type of positive target share has items that nobody of that type connected is not identified: its policy is
    NaN with a reason, and so is J; ``value_identified`` is J over the other states, rescaled to their share.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit with types: observed contexts (``types_observed``) for a regime over contexts, latent otherwise.
    regime : Regime
        The target.
    reference : array, shape (state, item), optional
        Reference policy; even by default.
    level : float
        Level of the intervals (equal-tailed).
    max_draws : int
        Draws used (evenly thinned).

    Returns
    -------
    xarray.DataTree
        The fit with the group added: ``policy, reward, reward_lower, reward_upper, policy_lower, policy_upper`` (state,
        item), ``reason`` (state), ``type_share`` (state, type), ``value, value_identified, regret, kl, gain_per_nat``,
        each with ``_lower`` and ``_upper``, and ``identified_share``.

    Raises
    ------
    RegimeError
        If the regime does not fit the table, or names contexts while the fit has latent types.
    LabelAlignmentError
        If a regime gives unequal shares to latent types without anchors that tell them apart, or the draws do not
        agree on which type an anchor names.

    Examples
    --------
    >>> from bayespref.simulate.scenarios import hh_confounding
    >>> from bayespref.target.regime import regime_from
    >>> from bayespref.workflow import fit
    >>> table = hh_confounding(n_annotators=40).comparisons
    >>> tree = fit("latent_types", table, rng_key=0, chains=1, warmup=50, draws=50, progress=False,
    ...            options={"types_observed": True})
    >>> even = {"states": dict.fromkeys(table.states, 0.25), "types": dict.fromkeys(table.contexts, 0.5)}
    >>> fields = {"name": "even", "version": "1", "reason": "launch", "kind": "product", "beta": 1.0}
    >>> float(target(tree, regime_from(fields | even))["target"]["identified_share"]) <= 1.0
    True
    """
    between("level", level, 0.0, 1.0)
    comparisons = tree_comparisons(tree)
    stacked = tree["posterior"]["reward"].stack(sample=(CHAIN, DRAW)).transpose("sample", STATE, TYPE, ITEM).values
    draws = stacked[np.unique(np.linspace(0, len(stacked) - 1, max_draws).astype(int))]
    draws, joint, labels, order = _declared(tree, regime, comparisons, draws)
    state_share = joint.sum(axis=1)
    visited = state_share > 0
    share = np.where(visited[:, None], joint / np.where(visited, state_share, 1.0)[:, None], 1.0 / joint.shape[1])
    ref = np.full(draws.shape[1::2], 1.0 / draws.shape[3]) if reference is None else np.asarray(reference, dtype=float)
    reason = _reasons(tree, comparisons, order, share)
    tails = np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    got = tilted_draws(draws, share, ref, regime.beta, state_share)
    averaged = average_reward(draws, share)
    averaged = averaged - averaged.mean(axis=-1, keepdims=True)
    known = (reason == "") & visited
    identified = float(state_share[known].sum())
    data: dict[str, Any] = {"type_share": ((STATE, TYPE), share), "reason": (STATE, reason)}
    for name, values in (("policy", got.policy_draws), ("reward", averaged)):
        ends = np.quantile(values, tails, axis=0)
        middle = got.policy if name == "policy" else values.mean(axis=0)
        for suffix, value in (("", middle), ("_lower", ends[0]), ("_upper", ends[1])):
            data[name + suffix] = ((STATE, ITEM), np.where((reason == "")[:, None], value, np.nan))
    whole = got.value
    part = whole if not known.any() else tilted_draws(
        draws[:, known], share[known], ref[known], regime.beta, state_share[known] / max(identified, 1e-300)
    ).value  # fmt: skip
    lost = identified < 1.0 - 1e-12
    scalars = {
        "value": whole.value,
        "regret": whole.best - whole.value,
        "gain": whole.value - whole.reference_value,
        "gain_per_nat": whole.gain_per_nat,
    }
    scalars = {name: np.where(lost, np.nan, value) for name, value in scalars.items()}
    scalars["value_identified"] = part.value if known.any() else np.full(len(draws), np.nan)
    for name, values in scalars.items():
        ends = np.quantile(values, tails)
        data |= {name: float(np.mean(values)), f"{name}_lower": float(ends[0]), f"{name}_upper": float(ends[1])}
    data |= {"identified_share": identified, "kl": np.nan if lost else float(np.mean(whole.kl))}
    attrs = {
        "method": "exponential tilt of the posterior mean of the type-averaged reward",
        "level": level,
        "assumptions": json.dumps(
            [f"model {tree_meta(tree)['model']}", SCALE, f"target {regime.name} {regime.version}"]
        ),
        "regime_hash": regime.content_hash,
        "logged_hash": logged_hash(comparisons),
        "data_hash": comparisons.data_hash,
        "beta": regime.beta,
        "reason": regime.reason,
        "seed": json.dumps(tree_meta(tree)["seed"]),
        "version": bayespref.__version__,
    }
    coords = {STATE: list(comparisons.states), TYPE: labels, ITEM: list(comparisons.items)}
    out = xr.DataTree.from_dict(
        {name: node.to_dataset() for name, node in tree.children.items()} | {"target": xr.Dataset(data, coords, attrs)}
    )
    out.attrs |= tree.attrs
    return out


def target_by_type(
    tree: xr.DataTree,
    regime: Regime,
    *,
    reference: Float[np.ndarray, "state item"] | None = None,
    kl_budget: float = np.inf,
    cost: Float[np.ndarray, "cost state type item"] | None = None,
    cost_limit: Float[np.ndarray, " cost"] | None = None,
) -> xr.Dataset:
    """Policies that see the type, under constraints that hold on average over the target.

    Parameters
    ----------
    tree, regime, reference
        As in `target`.
    kl_budget : float
        Most KL on average, nats.
    cost : array, shape (cost, state, type, item), optional
        Costs of completions.
    cost_limit : array, shape (cost,), optional
        Most of each on average.

    Returns
    -------
    Dataset
        ``policy`` (state, type, item) of the posterior mean reward; NaN in cells that are not identified. Attributes
        ``value, kl, kl_price, cost_price, gain_per_nat`` hold over the target.

    Raises
    ------
    ValueError, RegimeError, LabelAlignmentError
        As `target` and `bayespref.target.constrained.constrained_tilt`; also where target mass lies on cells that are
        not identified, since a global constraint needs all of them.
    """
    comparisons = tree_comparisons(tree)
    stacked = tree["posterior"]["reward"].stack(sample=(CHAIN, DRAW)).transpose("sample", STATE, TYPE, ITEM).values
    draws, joint, labels, order = _declared(tree, regime, comparisons, stacked)
    n_states, n_types, n_items = draws.shape[1:]
    apart = _apart(tree, comparisons, order)
    if (joint[apart] > 0).any():
        cells = [(comparisons.states[s], labels[c]) for s, c in np.argwhere(apart & (joint > 0))[:5]]
        raise ValueError(
            f"regime: target mass on cells whose items nobody of that type connected (no_overlap): {cells}"
        )
    ref = np.full((n_states, n_items), 1.0 / n_items) if reference is None else np.asarray(reference, dtype=float)
    flat = None if cost is None else np.asarray(cost, dtype=float).reshape(-1, n_states * n_types, n_items)
    got = constrained_tilt(
        draws.mean(axis=0).reshape(-1, n_items),
        np.repeat(ref, n_types, axis=0),
        regime.beta,
        joint.ravel(),
        kl_budget=kl_budget,
        cost=flat,
        cost_limit=cost_limit,
    )
    policy = np.where(apart[..., None], np.nan, got.policy.reshape(n_states, n_types, n_items))
    coords = {STATE: list(comparisons.states), TYPE: labels, ITEM: list(comparisons.items)}
    attrs = {"value": got.value, "kl": got.kl, "kl_price": got.kl_price, "cost_price": got.cost_price.tolist()}
    attrs |= {"gain_per_nat": got.gain_per_nat, "regime_hash": regime.content_hash, "assumptions": json.dumps([SCALE])}
    return xr.Dataset({"policy": ((STATE, TYPE, ITEM), policy)}, coords, attrs)


def write_target(
    comparisons: Comparisons,
    regime_file: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    fitted: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] = print,
) -> bool:
    """Weigh a table towards a regime on file, and write report, verdict, training table and policy.

    Parameters
    ----------
    comparisons : Comparisons
        A table; with contexts for weights.
    regime_file : path
        See :func:`bayespref.target.regime.read_regime`.
    folder : path
        Where ``overlap.csv``, ``verdict.json`` and ``train.jsonl`` go (a regime over contexts), and ``target.nc`` where
        a fit is given; made if it does not exist.
    fitted : path, optional
        A saved fit with types.
    say : callable
        Takes each line of the verdict.

    Returns
    -------
    bool
        Whether the weights are trusted; True for a regime over latent types, which uses none.

    Raises
    ------
    RegimeError, TargetMixError, ValueError
        As :func:`target` and :func:`bayespref.workflow.reweighting.reweight`.
    """
    regime, out = read_regime(regime_file), Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    trusted = True
    if regime.over == "context":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EffectModification)  # said in words below
            got = reweight(comparisons, regime)
        trusted = got.trust.verdict == TRUSTED
        say(got.trust.words)
        say(got.modification.words)
        say(f"left out, no preference stated: {got.left_out} row(s)")
        with replacing(out / "overlap.csv") as part:
            got.report.to_csv(part, index=False)
        say(str(write_trl(trl_table(comparisons, got.weights.weight), out / "train.jsonl")))
        recipe = resample(got.weights.weight * comparisons.weight, comparisons.n_rows, seed=0).recipe
        say(recipe)
        verdict: dict[str, Any] = stamp("bayespref.target", data_hash=comparisons.data_hash, seed=0) | {
            "verdict": got.trust.verdict,
            "reasons": list(got.trust.reasons),
            "effect": got.modification.words,
        }
        verdict |= {
            "regime": regime.model_dump(mode="json"),
            "regime_hash": got.regime_hash,
            "logged_hash": got.logged_hash,
            "resample": recipe,
            "files": file_hashes(out, ("overlap.csv", "train.jsonl")),
        }
        with replacing(out / "verdict.json") as part:
            part.write_text(sealed_json(verdict), encoding="utf-8")
    if fitted is not None:
        tree = target(load_fit(fitted), regime)
        group = tree["target"].to_dataset()
        share, value = float(group["identified_share"]), float(group["value"])
        known = "J is not identified" if np.isnan(value) else f"J {value:.3f} log-odds"
        say(f"{known}; {share:.1%} of the target lies in states whose types all connect their items")
        say(str(save_fit(tree, out / "target.nc")))
    return trusted


def _declared(
    tree: xr.DataTree, regime: Regime, comparisons: Comparisons, draws: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str], NDArray[np.intp]]:
    """Draws with types in the order of the regime's labels, target shares, labels, and that order."""
    observed = bool(tree_meta(tree)["options"].get("types_observed", False))
    posterior = tree["posterior"].to_dataset()
    own = [str(label) for label in posterior[TYPE].values]
    order = np.arange(len(own))
    if observed != (regime.over == "context"):
        kind = "observed contexts" if observed else "latent types"
        raise RegimeError(f"over: the regime is over {regime.over!r}, but the types of this fit are {kind}")
    logged = posterior["type_weight"].mean((CHAIN, DRAW)).values
    logged = logged / logged.sum()
    if observed:
        return draws, target_shares(regime, comparisons.states, own, logged_types=logged), own, order
    labels = sorted(set(regime.types or {}) | {cell.type for cell in regime.cells}) or own
    if len(labels) != len(own):
        raise RegimeError(f"types: the regime names {labels}, but the fit has {len(own)} latent types")
    joint = target_shares(regime, comparisons.states, labels, logged_types=logged)
    if regime.anchors:
        order = _anchored(regime, comparisons, labels, draws)
        return draws[:, :, order], joint, labels, order
    uneven = np.ptp(joint, axis=1).max() > 1e-12
    if uneven and (regime.types or regime.cells):
        raise LabelAlignmentError(
            f"anchors: the regime gives unequal shares to the latent types {labels}, whose labels mean nothing by "
            "themselves; say by [anchors.LABEL] which item each prefers over which"
        )
    return draws, joint, labels, order


def _anchored(
    regime: Regime, comparisons: Comparisons, labels: list[str], draws: NDArray[np.float64]
) -> NDArray[np.intp]:
    missing = sorted(set(labels) ^ set(regime.anchors))
    if len(set(labels) - set(regime.anchors)) > 1 or set(regime.anchors) - set(labels):
        raise RegimeError(f"anchors: one for each of {labels} (all but one suffice); differing: {missing}")
    score = np.zeros((len(draws), len(labels), draws.shape[2]))
    for k, label in enumerate(labels):
        anchor = regime.anchors.get(label)
        if anchor is not None:
            for name, value, known in (
                ("state", anchor.state, comparisons.states),
                ("prefers", anchor.prefers, comparisons.items),
                ("over", anchor.over, comparisons.items),
            ):
                if value not in known:
                    raise RegimeError(f"anchors.{label}.{name}: the table has no {value!r}")
            s = comparisons.states.index(anchor.state)
            a, b = comparisons.items.index(anchor.prefers), comparisons.items.index(anchor.over)
            score[:, k] = draws[:, s, :, a] - draws[:, s, :, b]
    order = linear_sum_assignment(-score.mean(axis=0))[1]
    agree = np.mean([np.array_equal(linear_sum_assignment(-one)[1], order) for one in score])
    if agree < _LEAST_AGREEMENT:
        raise LabelAlignmentError(
            f"anchors: only {agree:.0%} of the draws agree on which type is which; anchor on a contrast on which "
            "the types differ more"
        )
    return np.asarray(order)


def _apart(tree: xr.DataTree, comparisons: Comparisons, order: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Cells (state, type) whose items are not all connected by comparisons of that type."""
    fitted = tree["fit"].to_dataset()
    names = ("question_state", "question_a", "question_b", "outcome_code")
    graph = typed_graph(
        fitted["expected_count"].values[order],
        *(fitted[name].values for name in names),
        n_states=comparisons.n_states,
        n_items=comparisons.n_items,
    )
    compared = graph.wins + np.swapaxes(graph.wins, -1, -2) >= edge_floor(1.0)
    split = (graph.component != graph.component[..., :1]).any(axis=-1)
    return np.asarray(split | ~compared.any(axis=(-1, -2)))


def _reasons(
    tree: xr.DataTree, comparisons: Comparisons, order: NDArray[np.intp], share: NDArray[np.float64]
) -> NDArray[np.str_]:
    apart = _apart(tree, comparisons, order) & (share > 0)
    return np.where(apart.any(axis=1), "no_overlap", "").astype(np.str_)
