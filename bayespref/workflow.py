"""The road in order: the only module, beside the command line, that joins stages."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import Array
from numpy.typing import NDArray

import bayespref
from bayespref.bounds.assumed import assumed_draws
from bayespref.bounds.regions import as_regions, bounds_dataset, cell_value, draw_bounds, region_games
from bayespref.checks import at_least, one_of, positive
from bayespref.choice import ChoiceData, choice_data
from bayespref.comparisons import Comparisons
from bayespref.data.bundle import load_train_tickets
from bayespref.data.table import read_comparisons
from bayespref.defer.policy import DeferralPolicy
from bayespref.defer.regions import policy_from, score_regions
from bayespref.dims import CHAIN, CONTEXT, DRAW, ITEM, STATE, TYPE, VARIABLE_DIMS
from bayespref.disagree.contrasts import contrasts_dataset
from bayespref.errors import ModelError
from bayespref.fit.run import Fitted, expected_counts_by_type, fit_model
from bayespref.graph.check import check
from bayespref.graph.connect import suggest_comparisons
from bayespref.graph.typed import edge_floor, graph_dataset, typed_graph
from bayespref.models import MODELS
from bayespref.posterior.align import Alignment, match_types, reorder
from bayespref.posterior.store import FORMAT_VERSION, save_fit
from bayespref.posterior.tree import (
    build_tree,
    deployment_weights,
    tree_comparisons,
    tree_meta,
    unit_labels,
    variables_dataset,
)
from bayespref.posterior.verdict import convergence
from bayespref.simulate.scenarios import blind_spot

_VERSIONS = ("bayespref", "numpyro", "jax", "numpy", "xarray", "arviz-base", "arviz-stats")
REGIONS = ("state", "state_type")
TYPE_WEIGHTS = ("population", "logged")
_MOST_FLOATS = 2e8
_DEMO_COST = 0.3


def fit(
    model: str | Callable[..., Any],
    comparisons: Comparisons,
    *,
    rng_key: int | Array,
    options: Mapping[str, Any] | None = None,
    chains: int = 4,
    warmup: int = 200,
    draws: int = 1000,
    n_starts: int = 10,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> xr.DataTree:
    """Fit a model: posterior modes by EM, then NUTS from the best mode, types aligned, one DataTree.

    Parameters
    ----------
    model : str or callable
        A name in ``bayespref.models.MODELS``, or a NumPyro function built from the pieces in ``bayespref.choice``.
    comparisons : Comparisons
        The table.
    rng_key : int or jax key
        Seed; the same seed on the same machine gives the same draws.
    options : mapping, optional
        Keyword arguments of the model (number of types, priors).
    chains, warmup, draws : int
        Sampler sizes; ``draws`` counts kept draws per chain.
    n_starts : int
        EM starts.
    checkpoint : path, optional
        Folder to keep the chains in: the same call after an interruption goes on where it stopped, with the same draws.
    progress : bool
        Show progress bars.

    Returns
    -------
    xarray.DataTree
        Groups as described in :func:`bayespref.posterior.tree.build_tree`.

    Raises
    ------
    ModelError
        If the model is unknown, an option is not one of its arguments, or the table lacks what the model needs.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 1, 0]), np.array([1, 2, 2]), np.array([0, 0, 1]), items=("x", "y", "z"))
    >>> tree = fit("single", table, rng_key=0, chains=1, draws=50, progress=False)
    >>> dict(tree["posterior"].sizes)["draw"]
    50
    """
    function, name = _resolve(model)
    chosen = _options(function, name, comparisons, options)
    for label, value, least in (
        ("chains", chains, 1),
        ("draws", draws, 1),
        ("warmup", warmup, 0),
        ("n_starts", n_starts, 1),
    ):
        at_least(label, value, least)
    if comparisons.counts.total.size == 0:
        raise ModelError("comparisons: the table has no comparison of positive weight to fit")
    observed = bool(chosen.get("types_observed", False))
    with jax.enable_x64(True):
        key = jax.random.key(rng_key) if isinstance(rng_key, int | np.integer) else rng_key
        data, outcome = choice_data(comparisons, group_by_context=observed)
        fitted = fit_model(
            function,
            data,
            outcome,
            chosen,
            rng_key=key,
            chains=chains,
            warmup=warmup,
            draws=draws,
            n_starts=1 if observed else n_starts,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            progress=progress,
        )
        alignment = match_types(fitted.evaluated.overlap)
        ranking = _type_order(fitted, observed)
        order = alignment.order[..., ranking]
        expected = expected_counts_by_type(fitted, order, data, outcome)
    types = comparisons.contexts if observed else tuple(f"type {k + 1}" for k in range(len(ranking)))
    aligned = {
        variable: reorder(value, order, 2 + VARIABLE_DIMS[variable].index(TYPE))
        if TYPE in VARIABLE_DIMS[variable]
        else value
        for variable, value in fitted.evaluated.variables.items()
    }
    meta = {
        "format_version": FORMAT_VERSION,
        "model": name,
        "options": chosen,
        "method": "EM from several starts, then NUTS whitened by the Hessian at the best mode",
        "exact": True,
        "seed": rng_key if isinstance(rng_key, int) else np.asarray(jax.random.key_data(key)).tolist(),
        "chains": chains,
        "warmup": warmup,
        "draws": draws,
        "data_hash": comparisons.data_hash,
        "versions": {package: version(package) for package in _VERSIONS},
    }
    prior = {variable: value[None] for variable, value in fitted.prior.items()}
    return build_tree(
        posterior=variables_dataset(aligned, comparisons, types, model=name),
        prior=variables_dataset(prior, comparisons, types, model=name),
        sample_stats=fitted.draws.stats,
        log_likelihood=fitted.evaluated.log_likelihood,
        unit_labels=unit_labels(comparisons, by_context=observed),
        unconstrained=fitted.draws.flat,
        coordinate_names=fitted.density.names,
        fit=_fit_group(fitted, alignment, ranking, expected, data),
        comparisons=comparisons,
        meta=meta,
    )


def analyse(
    tree: xr.DataTree,
    *,
    reward_range: tuple[float, float] = (0.0, 1.0),
    range_policy: str = "widen",
    level: float = 0.9,
    regions: str = "state",
    type_weights: str = "population",
    items: Sequence[str] | None = None,
    assumptions: Mapping[str, Any] | None = None,
    n_min: float = 1.0,
    floor: float = 0.001,
    tolerance: float = 1.0,
    max_draws: int = 1000,
) -> xr.DataTree:
    """Add what the table cannot tell: groups ``graph``, ``disagree``, ``bounds`` and ``defer``.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit. The input is not changed.
    reward_range : tuple of float
        Assumed range of rewards, log-odds; limits what unobserved contrasts can be.
    range_policy : {"widen", "condition", "raise"}
        What to do with draws whose observed differences exceed the range: take the smallest range they allow (stated
        in the result), drop the draws, or stop.
    level : float
        Level of intervals and regions.
    regions : {"state", "state_type"}
        What a decision sees: the state, or the state and the type (observed contexts, or a declared type).
    type_weights : {"population", "logged"}
        P(type | state) at deployment, for regions that do not see the type: the annotators' type weights in every
        state, or those who asked about the state so far. The second trusts that deployment selects as the log did.
    items : sequence of str, optional
        Items a decision may choose among; all by default. Graphs use every item.
    assumptions : mapping, optional
        Restrictions that carry information into what was not compared, as in :func:`bayespref.bounds.bounds`; they
        narrow bounds and scores, and are named in both.
    n_min : float
        Fewest comparisons that make an edge.
    floor : float
        Mass below which a (state, type) cell is thin, share of all comparisons.
    tolerance : float
        Standard error above which a contrast is thin, log-odds.
    max_draws : int
        Draws used (evenly thinned).

    Returns
    -------
    xarray.DataTree
        The fit with the groups added.

    Raises
    ------
    ValueError
        If an item is unknown, or the arrays would not fit in memory (name fewer items then).
    """
    one_of("regions", regions, REGIONS)
    one_of("type_weights", type_weights, TYPE_WEIGHTS)
    comparisons = tree_comparisons(tree)
    posterior = tree["posterior"].to_dataset()
    chosen = _item_codes(comparisons, items)
    reward = posterior["reward"].stack(sample=(CHAIN, DRAW)).transpose("sample", STATE, TYPE, ITEM)
    thin = np.unique(np.linspace(0, reward.sizes["sample"] - 1, max_draws).astype(int))
    reward = reward.isel(sample=thin).drop_vars(("sample", CHAIN, DRAW))
    _refuse_too_large(reward.sizes, len(chosen))
    fitted = tree["fit"].to_dataset()
    typed = typed_graph(
        fitted["expected_count"].values,
        fitted["question_state"].values,
        fitted["question_a"].values,
        fitted["question_b"].values,
        fitted["outcome_code"].values,
        n_states=comparisons.n_states,
        n_items=comparisons.n_items,
        n_min=n_min,
    )
    graph = graph_dataset(comparisons, typed, chosen, reward[TYPE].values.tolist(), n_min)
    seen = graph["present"].transpose(STATE, ITEM).values
    among = reward.isel(item=chosen)
    component = among.isel(sample=0).copy(data=typed.component[..., chosen])
    if assumptions:
        labels = (comparisons.states, tuple(reward[TYPE].values.tolist()), comparisons.items)
        compared = typed.wins + np.swapaxes(typed.wins, -1, -2) >= edge_floor(n_min)
        by_draw = assumed_draws(
            reward.values, typed.component, compared, chosen, assumptions, labels, reward_range, range_policy
        )
    else:
        by_draw = draw_bounds(reward.values, typed.component, chosen, reward_range, range_policy)
    bounds = bounds_dataset(by_draw, component, chosen, range_policy=range_policy, level=level)
    disagree = contrasts_dataset(
        reward,
        tree["prior"]["reward"].isel(chain=0).transpose(DRAW, STATE, TYPE, ITEM).values,
        chosen,
        typed.wins,
        typed.component,
        typed.strong_component,
        seen,
        (bounds["difference_upper"] - bounds["difference_lower"]).values,
        cell_value(by_draw, seen[:, chosen]),
        least_edge=edge_floor(n_min),
        floor=floor,
        tolerance=tolerance,
    )
    weights, deployment = deployment_weights(posterior, thin, logged=type_weights == "logged")
    by_type = regions == "state_type"
    values, upper, mix, available = as_regions(among.values, by_draw.upper, weights, seen[:, chosen], by_type=by_type)
    games = region_games(values, upper, mix, available)
    names, columns = _region_labels(among, by_type, tree_meta(tree)["options"].get("types_observed", False))
    defer = score_regions(
        games.difference,
        games.regret,
        games.value,
        games.value_identified,
        available=available,
        kept=games.kept,
        flag=_grave_flag(disagree, by_type),
        labels=names,
        columns=columns,
        items=among[ITEM].values.tolist(),
        level=level,
    )
    defer.attrs |= {"deployment": deployment, "assumptions": bounds.attrs["assumptions"]}
    kept = {name: node.to_dataset() for name, node in tree.children.items()}
    stages = {"graph": graph, "disagree": disagree, "bounds": bounds, "defer": defer}
    analysed = xr.DataTree.from_dict(kept | stages)
    analysed.attrs |= tree.attrs
    return analysed


def policy(tree: xr.DataTree, *, c_defer: float, rule: str = "set_pure") -> DeferralPolicy:
    """Make the policy a system consumes: act where the score is at most the cost of deferring.

    Parameters
    ----------
    tree : xarray.DataTree
        From :func:`analyse` or :func:`run`.
    c_defer : float
        Cost of deferring, log-odds of reward.
    rule : {"set_pure", "chow", "credible"}
        Score to compare with it; ``set_pure`` counts what is not identified at its worst.

    Returns
    -------
    DeferralPolicy
    """
    meta = tree_meta(tree)
    defer = tree["defer"].to_dataset()
    assumptions = [f"model {meta['model']}", *json.loads(defer.attrs["assumptions"]), defer.attrs["deployment"]]
    return policy_from(defer, c_defer=c_defer, rule=rule, data_hash=meta["data_hash"], assumptions=assumptions)


def run(
    table: Any,
    *,
    adapter: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    features: Sequence[str] | None = None,
    model: str | Callable[..., Any] = "single",
    options: Mapping[str, Any] | None = None,
    rng_key: int | Array = 0,
    reward_range: tuple[float, float] = (0.0, 1.0),
    range_policy: str = "widen",
    level: float = 0.9,
    regions: str = "state",
    type_weights: str = "population",
    items: Sequence[str] | None = None,
    progress: bool = True,
) -> xr.DataTree:
    """Read, fit and analyse a table in one call.

    Parameters
    ----------
    table : dataframe, path or Comparisons
        See :func:`bayespref.read_comparisons`.
    adapter, columns, features
        As in :func:`bayespref.read_comparisons`.
    model, options, rng_key, progress
        As in :func:`fit`.
    reward_range, range_policy, level, regions, type_weights, items
        As in :func:`analyse`.

    Returns
    -------
    xarray.DataTree

    Examples
    --------
    >>> import pandas as pd
    >>> votes = pd.DataFrame({"item_a": ["x", "x", "y"], "item_b": ["y", "y", "x"], "outcome": ["a", "b", "b"]})
    >>> tree = run(votes, rng_key=0, progress=False)
    >>> policy(tree, c_defer=5.0).to_table()["decision"].tolist()
    ['act']
    """
    comparisons = (
        table
        if isinstance(table, Comparisons)
        else read_comparisons(table, adapter=adapter, columns=columns, features=features)
    )
    one_of("regions", regions, REGIONS)
    one_of("type_weights", type_weights, TYPE_WEIGHTS)
    _item_codes(comparisons, items)  # a wrong request is refused before the fit, not after it
    tree = fit(model, comparisons, rng_key=rng_key, options=options, progress=progress)
    return analyse(
        tree,
        reward_range=reward_range,
        range_policy=range_policy,
        level=level,
        regions=regions,
        type_weights=type_weights,
        items=items,
    )


def report(
    sections: Sequence[tuple[str, xr.DataTree]],
    path: str | os.PathLike[str],
    *,
    c_defer: float,
    truth: Mapping[str, NDArray[np.float64]] | None = None,
    title: str = "What these preferences say, and what they cannot",
) -> Path:
    """Write one self-contained HTML report of analysed fits.

    Parameters
    ----------
    sections : sequence of (title, tree)
        From :func:`analyse` or :func:`run`.
    path : path
        File to write; replaced only once the new one is complete.
    c_defer : float
        Cost of deferring, log-odds of reward.
    truth : mapping of section title to float array (state, type, item), optional
        True rewards of simulated worlds.
    title : str
        Title of the page.

    Returns
    -------
    pathlib.Path
    """
    from bayespref.report.html import build_report, write_report  # plots take a second to import; fits need none

    pages = [
        build_report(
            tree,
            verdicts=convergence(tree),
            policy_table=policy(tree, c_defer=c_defer).to_table(),
            c_defer=c_defer,
            suggestions=suggest_comparisons(tree_comparisons(tree)),
            title=name,
            truth=(truth or {}).get(name),
        )
        for name, tree in sections
    ]
    return write_report(pages, path, title=title)


def demo(folder: str | os.PathLike[str], *, progress: bool = True, say: Callable[[str], None] = print) -> Path:
    """Run the main job on bundled real data and on a simulated world with known truth.

    Parameters
    ----------
    folder : path
        Where ``report.html``, the fits and the policies go; made if it does not exist.
    progress : bool
        Show progress bars.
    say : callable
        Takes each line of the story.

    Returns
    -------
    pathlib.Path
        The report.
    """
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    tickets = load_train_tickets()
    world = blind_spot(seed=1)
    jobs: list[tuple[str, Comparisons, dict[str, Any]]] = [
        (
            "Train tickets: 235 travellers, real choices",
            tickets,
            {"model": "linear_types", "options": {"n_types": 2}, "items": _most_compared(tickets, 6)},
        ),
        (
            "Blind spot: a simulated world with two cells nobody visited",
            world.comparisons,
            {
                "model": "latent_types",
                "options": {"types_observed": True, "reward_scale": 2.0},
                "reward_range": world.reward_range,
                "regions": "state_type",
            },
        ),
    ]
    sections = []
    for name, table, settings in jobs:
        say(f"\n{name}")
        say(str(check(table)))
        tree = run(table, progress=progress, **settings)
        for verdict in convergence(tree):
            say(verdict.words)
        decisions = policy(tree, c_defer=_DEMO_COST)
        say(
            f"decisions at a cost of deferring of {_DEMO_COST} log-odds:\n{decisions.to_table().to_string(index=False)}"
        )
        stem = name.split(":")[0].lower().replace(" ", "-")
        say(f"saved {save_fit(tree, out / f'{stem}.nc')} and {decisions.save(out / f'{stem}.policy.json')}")
        sections.append((name, tree))
    truth = {jobs[1][0]: world.reward}
    return report(sections, out / "report.html", c_defer=_DEMO_COST, truth=truth)


def _most_compared(comparisons: Comparisons, n_items: int) -> list[str]:
    """Labels of the items most often compared."""
    counts = comparisons.counts
    often = np.bincount(counts.item_a, counts.total, comparisons.n_items)
    often = often + np.bincount(counts.item_b, counts.total, comparisons.n_items)
    return [comparisons.items[i] for i in np.argsort(-often, kind="stable")[:n_items]]


def _resolve(model: str | Callable[..., Any]) -> tuple[Callable[..., Any], str]:
    if callable(model):
        return model, getattr(model, "__name__", "model")
    if model not in MODELS:
        raise ModelError(f"model: unknown name {model!r}; known are {sorted(MODELS)}")
    return MODELS[model], model


def _options(
    function: Callable[..., Any], name: str, comparisons: Comparisons, options: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Every option of the model with its default filled in, so that a saved fit says all its priors."""
    parameters = inspect.signature(function).parameters
    allowed = {key: item.default for key, item in parameters.items() if item.kind is inspect.Parameter.KEYWORD_ONLY}
    given = dict(options or {})
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise ModelError(f"options: {name} has no option(s) {unknown}; it has {sorted(allowed)}")
    if given.get("types_observed"):
        comparisons.codes("context")
        given.setdefault("n_types", len(comparisons.contexts))
    for option, value in given.items():
        if option.endswith(("_scale", "_concentration")):
            positive(option, value)
        elif option.startswith("n_"):
            at_least(option, value, 1)
    return allowed | given


def _type_order(fitted: Fitted, observed: bool) -> NDArray[np.intp]:
    """Types by falling weight at the best mode; observed types keep the order of the contexts."""
    weight = np.asarray(fitted.at_mode["type_weight"])
    return np.arange(len(weight)) if observed else np.argsort(-weight, kind="stable")


def _item_codes(comparisons: Comparisons, items: Sequence[str] | None) -> NDArray[np.intp]:
    if items is None:
        return np.arange(comparisons.n_items)
    code = {label: i for i, label in enumerate(comparisons.items)}
    unknown = [item for item in items if item not in code]
    if unknown or len(set(items)) < max(len(items), 2):
        raise ValueError(f"items: name at least two different items of the table; unknown: {unknown[:5]}")
    return np.sort([code[item] for item in items])


def _refuse_too_large(sizes: Mapping[Any, int], n_items: int) -> None:
    floats = sizes["sample"] * sizes[STATE] * sizes[TYPE] * n_items**2
    if floats > _MOST_FLOATS:
        raise ValueError(
            f"items: {n_items} items in {sizes[STATE]} states and {sizes[TYPE]} types need {floats:.2g} contrasts over "
            f"{sizes['sample']} draws, more than {_MOST_FLOATS:.0g}; name the items to decide among, or lower max_draws"
        )


def _region_labels(
    reward: xr.DataArray, by_type: bool, observed: bool
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    states = [str(state) for state in reward[STATE].values]
    if not by_type:
        return [(state,) for state in states], (STATE,)
    kinds = [str(kind) for kind in reward[TYPE].values]
    return [(state, kind) for state in states for kind in kinds], (STATE, CONTEXT if observed else TYPE)


def _grave_flag(disagree: xr.Dataset, by_type: bool) -> NDArray[np.str_]:
    """Design flag of each region that a posterior alone must not clear."""
    grave = np.stack([disagree["is_flagged"].sel(flag=code).values for code in ("no_data", "disconnected")])
    grave = grave.reshape(2, -1) if by_type else np.asarray(grave.any(2))
    return np.where(grave[0], "no_data", np.where(grave[1], "disconnected", "")).astype(np.str_)


def _fit_group(
    fitted: Fitted,
    alignment: Alignment,
    ranking: NDArray[np.intp],
    expected: NDArray[np.float64],
    data: ChoiceData,
) -> xr.Dataset:
    """Modes, model variables at the best one, alignment and expected counts."""
    modes = fitted.modes
    at_mode = {}
    for name, dims in VARIABLE_DIMS.items():
        if name in fitted.at_mode:
            value = np.asarray(fitted.at_mode[name])
            at_mode[f"mode_{name}"] = (dims, np.take(value, ranking, dims.index(TYPE)) if TYPE in dims else value)
    return xr.Dataset(
        {
            "mode_log_joint": ("mode", modes.log_joint),
            "mode_log_likelihood": ("mode", modes.log_likelihood),
            "mode_found": ("mode", modes.found),
            **at_mode,
            "switched": ((CHAIN, DRAW), alignment.switched),
            "agreement": ((CHAIN, DRAW), alignment.agreement),
            "expected_count": ((TYPE, "question", "outcome"), expected),
            "question_state": ("question", np.asarray(data.state)),
            "question_a": ("question", np.asarray(data.item_a)),
            "question_b": ("question", np.asarray(data.item_b)),
            "outcome_code": ("outcome", np.asarray(data.outcomes)),
        },
        attrs={
            "mode_gap": modes.gap,
            "gradient_norm": modes.gradient_norm,
            "n_starts": int(modes.found.sum()),
            "version": bayespref.__version__,
        },
    )
