"""From a fit to the comparisons that should be collected next."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.bounds.regions import as_regions, draw_bounds
from bayespref.bounds.regret import minimax_regret, regret_matrix
from bayespref.checks import finite, one_of
from bayespref.design.value import OBJECTIVES, Decisions, allocate, decisions, expected_gain
from bayespref.design.wording import Why, cell_reason, feature_reason
from bayespref.dims import STATE
from bayespref.graph.connect import components
from bayespref.graph.typed import edge_floor
from bayespref.workflow.questions import Question, design_question

_VALUE_DRAWS = 100
_MOST_WORK = 3e7


def next_comparisons(
    tree: xr.DataTree,
    budget: float,
    *,
    objective: str = "value",
    contrasts: Sequence[tuple[str, str]] | None = None,
    cost: float | Mapping[str, float] | ArrayLike = 1.0,
    acceptance: float | Mapping[str, float] = 1.0,
    regions: str | None = None,
    deployment: ArrayLike | None = None,
    segments: Mapping[str, Sequence[float]] | None = None,
    items: Sequence[str] | None = None,
    c_defer: float | None = None,
    reward_range: tuple[float, float] | None = None,
    max_draws: int = 400,
    seed: int = 0,
) -> pd.DataFrame:
    """Propose which comparisons to collect next for a budget: what to show, to whom, how often, and why.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit, analysed or not.
    budget : float
        What may be spent, in the currency of ``cost``; comparisons where ``cost`` is 1.
    objective : {"value", "variance", "lambda_min"}
        What to lower per cost: the expected regret of the choices (``value``: only what could change a choice counts),
        the variance of the contrasts of every region's favourite, or the largest variance of any of their combinations.
    contrasts : sequence of (item, item), optional
        Ask what these contrasts need, in every region, instead of each region's whole choice.
    cost : float, mapping or array
        Cost of an attempt: one number, by segment, or by pair of the chosen items, shape (item, item), infinite where a
        pair cannot be asked.
    acceptance : float or mapping
        Share of attempts that become a label, by segment: a label costs cost / acceptance.
    regions : {"state", "state_type"}, optional
        What a decision will see; "state_type" if types are observed contexts, else "state".
    deployment : array, shape (state, type), optional
        Where the choices will be used, summing to one. By default every state alike, with the annotators' mix of types.
    segments : mapping of str to type mix, optional
        Who can be asked, and of which types they are. By default each observed context; contexts with their estimated
        mix where the model has one; otherwise anyone.
    items : sequence of str, optional
        Items to ask about and to decide among; all by default.
    c_defer : float, optional
        Cost of deferring, log-odds: a region where acting stays dearer gains nothing.
    reward_range : tuple of float, optional
        Assumed range of rewards, log-odds. Where no comparison links items, their distance is then as uncertain as a
        uniform distribution over the range, on top of the model's prior; that of the analysis by default, if there is
        one.
    max_draws : int
        Posterior draws for the information of a label (evenly thinned); moments use all draws.
    seed : int
        Of the random pairs of a linear model with very many items, and of the Monte Carlo behind ``expected_gain``.

    Returns
    -------
    DataFrame
        One row a proposal, most useful first: ``state``, ``segment`` (``context`` where types are observed),
        ``item_a``, ``item_b``, ``n`` (labels), ``cost`` (total), ``gain`` (fall of the objective), ``reason`` (code)
        and ``why`` (words). ``attrs`` hold method, assumptions, budget, spent, objective before and after, the expected
        gain of the whole in log-odds of reward, and, as JSON, ``regions``: the same by region, with the minimax regret
        V of what is not identified, before and after.

    Raises
    ------
    ValueError
        If the budget pays for no label, a name is unknown, or a share, cost or distribution is out of range.

    Notes
    -----
    A Gaussian approximation of the posterior and a greedy choice (see `bayespref.design.value`): no certificate.
    Collect in a few batches and refit between them; each answer changes which pairs are close.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> from bayespref.workflow import fit
    >>> table = from_codes(np.array([0, 1, 0]), np.array([1, 2, 2]), np.array([0, 0, 1]), items=("x", "y", "z"))
    >>> tree = fit("single", table, rng_key=0, chains=1, draws=50, progress=False)
    >>> proposals = next_comparisons(tree, 6)
    >>> int(proposals["n"].sum()), set(proposals["reason"])
    (6, {'thin'})
    """
    one_of("objective", objective, OBJECTIVES)
    if c_defer is not None and not c_defer > 0:
        raise ValueError(f"c_defer: must be > 0, got {c_defer!r}")
    question = design_question(
        tree,
        regions=regions,
        deployment=deployment,
        segments=segments,
        items=items,
        reward_range=reward_range,
        max_draws=max_draws,
        seed=seed,
    )
    wanted = _wanted(question, contrasts)
    problem, offered = _problem(question, wanted)
    price = _price(question, cost, acceptance)
    got = allocate(
        question.covariance,
        question.candidates.loadings,
        problem,
        price,
        float(finite("budget", budget)),
        objective=objective,
        c_defer=np.inf if c_defer is None else float(c_defer),
    )
    picked = np.flatnonzero(got.counts)
    picked = picked[np.argsort(-got.gain[picked], kind="stable")]
    table = pd.DataFrame(
        [_row(question, int(k), int(got.counts[k]), float(got.gain[k]), float(price[k]), wanted) for k in picked],
        columns=[STATE, question.column, "item_a", "item_b", "n", "cost", "gain", "reason", "why"],
    )
    action = question.action if wanted is None else np.concatenate([question.action] * len(wanted))
    after = _components_after(question, got.counts)
    gain = expected_gain(question.mean, question.covariance, got.covariance, action, offered, seed=seed)
    table.attrs = {
        "method": "greedy by fall of the objective per cost; Gaussian approximation of the posterior; no certificate",
        "assumptions": _assumptions(question, deployment is None),
        "objective": objective,
        "units": {"value": "log-odds of reward", "variance": "log-odds squared", "lambda_min": "log-odds squared"}[
            objective
        ],
        "budget": float(budget),
        "spent": got.spent,
        "before": float(got.before.sum()),
        "after": float(got.after.sum()),
        "expected_gain": float(problem.weight @ gain / problem.weight.sum()),
        "regions": json.dumps(_by_region(question, got.before, got.after, after)) if objective == "value" else "[]",
        "seed": seed,
    }
    return table


def _wanted(question: Question, contrasts: Sequence[tuple[str, str]] | None) -> list[tuple[int, int]] | None:
    if contrasts is None:
        return None
    code = {label: i for i, label in enumerate(question.items)}
    unknown = sorted({str(item) for pair in contrasts for item in pair if item not in code})
    if unknown or not contrasts or any(len(pair) != 2 or pair[0] == pair[1] for pair in contrasts):
        raise ValueError(f"contrasts: name pairs of two different items of the table; unknown: {unknown[:5]}")
    return [(code[a], code[b]) for a, b in contrasts]


def _problem(question: Question, wanted: list[tuple[int, int]] | None) -> tuple[Decisions, NDArray[np.bool_]]:
    """Contrasts to learn, and the items on offer in each region (one copy of the regions per wanted contrast)."""
    offered = question.available[question.region_state]
    if wanted is None:
        problem = decisions(question.mean, question.action, question.weight, offered)
        work = len(problem.region) * len(question.candidates.state)
        if work > _MOST_WORK:
            raise ValueError(
                f"items: {len(problem.region):,} contrasts and {len(question.candidates.state):,} candidates are too "
                "many; name the items to decide among, or the contrasts"
            )
        return problem, offered
    offered = np.zeros((len(wanted), *offered.shape), dtype=bool)
    for k, pair in enumerate(wanted):
        offered[k][:, list(pair)] = True
    offered = offered.reshape(-1, offered.shape[-1])
    copies = len(wanted)
    action = np.concatenate([question.action] * copies)
    return decisions(question.mean, action, np.tile(question.weight, copies) / copies, offered), offered


def _price(
    question: Question, cost: float | Mapping[str, float] | ArrayLike, acceptance: float | Mapping[str, float]
) -> NDArray[np.float64]:
    """Cost of a label for every candidate."""
    segment = question.candidates.segment
    share = _by_segment("acceptance", acceptance, question.segments)[segment]
    if not ((share > 0) & (share <= 1)).all():
        raise ValueError(f"acceptance: must lie in (0, 1], got {acceptance!r}")
    if isinstance(cost, Mapping) or np.ndim(cost) == 0:
        return np.asarray(_by_segment("cost", cost, question.segments)[segment] / share)  # type: ignore[arg-type]
    grid = np.asarray(cost, dtype=np.float64)
    n = len(question.items)
    if grid.shape != (n, n):
        raise ValueError(f"cost: by pair, must have shape {(n, n)}, got {grid.shape}")
    a, b = question.candidates.item_a, question.candidates.item_b
    return np.asarray(np.minimum(grid[a, b], grid[b, a]) / share)


def _by_segment(name: str, value: float | Mapping[str, float], segments: tuple[str, ...]) -> NDArray[np.float64]:
    if not isinstance(value, Mapping):
        return np.full(len(segments), float(value))
    if set(value) != set(segments):
        raise ValueError(f"{name}: must name every segment {list(segments)} once, got {sorted(map(str, value))}")
    return np.array([float(value[segment]) for segment in segments])


def _row(
    question: Question, k: int, n: int, gain: float, price: float, wanted: list[tuple[int, int]] | None
) -> tuple[Any, ...]:
    candidates, items = question.candidates, question.items
    s, j = int(candidates.state[k]), int(candidates.segment[k])
    a, b = int(candidates.item_a[k]), int(candidates.item_b[k])
    why = _why(question, k, wanted)
    state = "any" if question.linear else question.states[s]
    return state, question.segments[j], items[a], items[b], n, n * price, gain, why.code, why.words


def _why(question: Question, k: int, wanted: list[tuple[int, int]] | None) -> Why:
    candidates = question.candidates
    s, j = int(candidates.state[k]), int(candidates.segment[k])
    pair = (int(candidates.item_a[k]), int(candidates.item_b[k]))
    if question.graph is None:
        features = np.asarray(question.comparisons.features)
        code = {label: i for i, label in enumerate(question.comparisons.items)}
        first, second = (code[question.items[i]] for i in pair)
        return feature_reason(
            features[first] - features[second],
            question.comparisons.feature_names,
            features.std(axis=0),
            float(candidates.preferred[k]),
            question.segments[j],
        )
    mix = question.membership[j]
    kinds = mix >= 0.5 / max(len(mix), 1)
    total = question.graph.wins[s] + np.swapaxes(question.graph.wins[s], -1, -2)
    mine = np.flatnonzero(question.region_state == s)
    region = int(mine[(question.mix[mine] @ mix).argmax()])
    level = np.einsum("c,nci->ni", question.mix[region], question.reward[:, s])
    mean = np.where(question.available[s], level.mean(axis=0), -np.inf)
    return cell_reason(
        pair,
        question.items,
        question.states[s],
        question.segments[j],
        question.graph.component[s][kinds],
        total[kinds].sum(axis=-1) >= edge_floor(1.0),
        float(total[kinds][:, pair[0], pair[1]].sum()),
        (level[:, :, None] > level[:, None, :]).mean(axis=0),
        int(mean.argmax()),
        None if wanted is None else wanted[0],
    )


def _components_after(question: Question, counts: Int[np.ndarray, " candidate"]) -> NDArray[np.int64] | None:
    """Components once the proposals are answered; an edge needs half an expected answer of a type, as in the graph."""
    if question.graph is None:
        return None
    candidates = question.candidates
    label = question.graph.component
    total = (label[..., :, None] == label[..., None, :]).astype(np.float64)
    for k in np.flatnonzero(counts):
        s, a, b = candidates.state[k], candidates.item_a[k], candidates.item_b[k]
        expected = counts[k] * question.membership[candidates.segment[k]]
        total[s, :, a, b] += expected >= edge_floor(1.0)
    return components(np.maximum(total, np.swapaxes(total, -1, -2)))


def _unsettled(
    question: Question, component: NDArray[np.int64] | None, reward_range: tuple[float, float]
) -> NDArray[np.float64]:
    """Mean minimax regret of each region over draws, from what is not linked: no data of the same kind lowers it."""
    if component is None:
        return np.zeros(len(question.region_state))
    draws = question.reward[np.unique(np.linspace(0, len(question.reward) - 1, _VALUE_DRAWS).astype(int))]
    chosen = np.arange(len(question.items))
    upper = draw_bounds(draws, component, chosen, reward_range, "widen").upper
    by_type = len(question.region_state) != len(question.states)
    kinds = np.broadcast_to(question.mix[: len(question.states)], (len(draws), len(question.states), draws.shape[2]))
    _, games, mix, available = as_regions(draws, upper, kinds, question.available, by_type=by_type)
    return np.asarray(minimax_regret(regret_matrix(games, mix), available=available[None]).value.mean(axis=0))


def _by_region(
    question: Question, before: Float[np.ndarray, " region"], after: Float[np.ndarray, " region"], joined: Any
) -> list[dict[str, Any]]:
    n = len(question.region_state)
    copies = len(before) // n
    limits = question.reward_range
    value: tuple[Any, Any] = (None, None)
    if limits is not None:
        now = None if question.graph is None else question.graph.component
        value = (_unsettled(question, now, limits), _unsettled(question, joined, limits))
    rows = []
    for r in range(n):
        mass = float(question.weight[r])
        row: dict[str, Any] = {"state": question.states[int(question.region_state[r])], "mass": round(mass, 6)}
        if len(question.region_state) != len(question.states):
            row["type"] = question.kinds[int(question.mix[r].argmax())]
        for name, loss in (("regret_before", before), ("regret_after", after)):
            mean = float(loss.reshape(copies, n)[:, r].sum())
            row[name] = round(mean / mass, 6) if mass > 0 else None
        if value[0] is not None:
            row |= {"V_before": round(float(value[0][r]), 6), "V_after": round(float(value[1][r]), 6)}
        rows.append(row)
    return rows


def _assumptions(question: Question, even: bool) -> str:
    parts = ["the future answers come from the fitted model"]
    if even:
        parts.append("deployment: every state alike, with the annotators' mix of types")
    if question.graph is not None:
        limits = question.reward_range
        parts.append(
            "what no comparison links is as uncertain as the model's prior"
            if limits is None
            else f"what no comparison links is uniform over the range ({limits[0]:g}, {limits[1]:g}), log-odds"
        )
    else:
        parts.append("rewards are linear in the features in every state")
    return "; ".join(parts)
