"""The convergence verdict: what the chains say about themselves, in words, stated either way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats

from bayespref.dims import CHAIN, DRAW, ITEM, STATE, TRAIT, VARIABLE_DIMS
from bayespref.display import shown
from bayespref.posterior.align import match_traits

RHAT_LIMIT = 1.01
ESS_PER_CHAIN = 100
NEAR_TIE = 10.0
PARETO_K_LIMIT = 0.7
_AGAIN = "use method='gibbs' or 'nuts' where the table allows"
MOST_SWITCHED = 0.01
LEAST_AGREEMENT = 0.9
_MOST_ENTRIES = 20_000


@shown()
class Verdict(NamedTuple):
    """One check: its name, whether it passed, and the words for it.

    Attributes
    ----------
    name : str
        What was checked.
    ok : bool
        Whether it passed.
    words : str
        "name: yes/no, numbers".
    reason : str
        Reason code where it failed, else "".
    next_step : str
        What to do where it failed, else "".
    """

    name: str
    ok: bool
    words: str
    reason: str = ""
    next_step: str = ""


def convergence(tree: xr.DataTree) -> list[Verdict]:
    """Judge a fit: R-hat, effective sample size, divergences, switching of types or traits, near-tied modes.

    R-hat and effective sample size are the worst over model parameters (rank-normalised, split; Vehtari et al. 2021).
    Coefficients stand in for rewards where rewards are a function of them.

    Parameters
    ----------
    tree : xarray.DataTree
        A fit.

    Returns
    -------
    list of Verdict
        First the overall verdict, then one per check.
    """
    posterior = tree["posterior"].to_dataset()
    chains = posterior.sizes[CHAIN]
    worst_rhat, rhat_at = _worst(posterior, "rhat")
    worst_ess, ess_at = _worst(posterior, "ess")
    fit = tree["fit"].to_dataset()
    approximate = not int(fit.attrs.get("exact", 1))
    switched = float(fit["switched"].mean())
    agreement = float(fit["agreement"].mean())
    gap = float(fit.attrs["mode_gap"])
    needed = ESS_PER_CHAIN * chains
    rerun = "run more warm-up and draws; if it persists, look for near-tied modes or weakly identified parameters"
    mixed = np.isfinite(worst_rhat) and worst_rhat <= RHAT_LIMIT and worst_ess >= needed
    checks: list[Verdict] = []
    if approximate:
        checks.append(_approximation(fit))
    else:
        checks.append(
            Verdict(
                "mixed",
                bool(mixed),
                f"mixed: {'yes' if mixed else 'no'}, largest R-hat {worst_rhat:.3f} at {rhat_at} (limit {RHAT_LIMIT}), "
                f"smallest effective sample size {worst_ess:.0f} at {ess_at} (at least {needed} wanted)",
                "" if mixed else "not_converged",
                "" if mixed else rerun,
            )
        )
    if "diverging" in tree["sample_stats"]:  # only samplers that integrate trajectories can diverge
        divergent = int(tree["sample_stats"]["diverging"].sum())
        total = int(tree["sample_stats"]["diverging"].size)
        checks.append(
            Verdict(
                "divergences",
                divergent == 0,
                f"divergences: {'none' if divergent == 0 else f'yes, {divergent}'} in {total} draws",
                "" if divergent == 0 else "not_converged",
                "" if divergent == 0 else "raise target_accept, or use a tighter prior",
            )
        )
    if posterior.sizes.get("type", 1) > 1:
        held = switched <= MOST_SWITCHED and agreement >= LEAST_AGREEMENT
        checks.append(
            Verdict(
                "types aligned",
                bool(held),
                f"types aligned: {'yes' if held else 'no'}, {switched:.1%} of draws switched labels within a chain, "
                f"memberships agree with the mode on {agreement:.1%} of annotators",
                "" if held else "not_converged",
                "" if held else "types overlap too much to be told apart: fit fewer, or collect more labels each",
            )
        )
        tied, unknown = gap < NEAR_TIE, np.isnan(gap)
        distance = "no second mode was found" if not np.isfinite(gap) else f"the second-best is {gap:.1f} nats below"
        distance = "other modes were not looked for" if unknown else distance
        checks.append(
            Verdict(
                "single mode",
                not (tied or unknown),
                f"single mode: {'unknown' if unknown else 'no' if tied else 'yes'}, {distance} "
                f"({int(fit.attrs['n_starts'])} starts)",
                "near_tied_modes" if tied else "approximation_unreliable" if unknown else "",
                "fit fewer types, or report both modes: one mode alone understates uncertainty"
                if tied
                else _AGAIN
                if unknown
                else "",
            )
        )
    if "loading" in posterior:
        checks.append(_traits_aligned(posterior, fit))
    ok = all(check.ok for check in checks)
    reached = f"largest R-hat {worst_rhat:.3f}, smallest effective sample size {worst_ess:.0f}"
    failed = [check.name for check in checks if not check.ok]
    overall = Verdict(
        "converged",
        ok,
        f"converged: {'yes' if ok else 'no'}, {'an approximation' if approximate else reached}"
        + ("" if ok else f"; failed: {', '.join(failed)}"),
        "" if ok else next(check.reason for check in checks if not check.ok),
        "" if ok else next(check.next_step for check in checks if not check.ok),
    )
    return [overall, *checks]


def _traits_aligned(posterior: xr.Dataset, fit: xr.Dataset) -> Verdict:
    """Whether the draws keep the mode's trait frame: traits that turn must not be averaged."""
    loading = posterior["loading"].transpose(CHAIN, DRAW, TRAIT, STATE, ITEM).values
    matched = match_traits(loading, fit["mode_loading"].transpose(TRAIT, STATE, ITEM).values)
    turned, agreement = float(matched.turned.mean()), float(matched.agreement.mean())
    held = turned <= MOST_SWITCHED and agreement >= LEAST_AGREEMENT
    return Verdict(
        "traits aligned",
        held,
        f"traits aligned: {'yes' if held else 'no'}, {turned:.1%} of draws turned the traits by more than 45 degrees, "
        f"loadings agree with the mode's to a cosine of {agreement:.2f}",
        "" if held else "not_converged",
        "" if held else "fit fewer traits, or read only what no rotation changes: rewards and how much people differ",
    )


def _approximation(fit: xr.Dataset) -> Verdict:
    """Whether an approximation may be trusted: Laplace by its Pareto k, variational inference never by itself."""
    if fit.attrs["sampler"] == "laplace":
        k = float(fit.attrs["pareto_k"])
        good = k < PARETO_K_LIMIT
        return Verdict(
            "approximation",
            good,
            f"approximation: {'trusted' if good else 'not trusted'}, Laplace at one mode with importance resampling, "
            f"Pareto k {k:.2f} (limit {PARETO_K_LIMIT}), effective size {float(fit.attrs['importance_size']):.0f}",
            "" if good else "approximation_unreliable",
            "" if good else _AGAIN,
        )
    return Verdict(
        "approximation",
        False,
        "approximation: unchecked, variational inference describes one mode and tends to understate spread",
        "approximation_unreliable",
        _AGAIN,
    )


def _worst(posterior: xr.Dataset, statistic: str) -> tuple[float, str]:
    """Worst value of R-hat or effective sample size, and where; NaN where a parameter is undefined or never moves."""
    skip = {"reward"} if "coefficient" in posterior else set()
    sign = 1.0 if statistic == "rhat" else -1.0
    worst, where = -np.inf, "no parameter"
    if posterior.sizes[DRAW] < 4:
        return float("nan"), "any parameter: fewer than four draws"
    for name in VARIABLE_DIMS:
        if name not in posterior or name in skip:
            continue
        variable = posterior[name].transpose(CHAIN, DRAW, ...)
        entries = variable.values.reshape(*variable.shape[:2], -1)
        undefined = ~np.isfinite(entries).all((0, 1))
        still = entries.max((0, 1)) == entries.min((0, 1)) if entries.size else np.zeros(0, dtype=bool)
        fixed = still & (variable.shape[-1] == 1)  # the weight of a single type, the reward of a single item
        if np.any(undefined | (still & ~fixed)):
            return float("nan"), _entry(variable, int(np.argmax(undefined | (still & ~fixed))))
        moving = np.flatnonzero(~still)[:_MOST_ENTRIES]
        if len(moving) == 0:
            continue
        values = getattr(array_stats, statistic)(entries[..., moving], chain_axis=0, draw_axis=1)
        if np.isnan(values).any():
            return float("nan"), _entry(variable, int(moving[np.isnan(values).argmax()]))
        place = int(np.argmax(sign * values))
        if sign * values[place] > worst:
            worst, where = float(sign * values[place]), _entry(variable, int(moving[place]))
    return (sign * worst if np.isfinite(worst) else float("nan")), where


def _entry(variable: xr.DataArray, flat: int) -> str:
    """Name an entry of a variable by its labels."""
    index = np.unravel_index(flat, variable.shape[2:])
    labels = [str(variable[dim].values[i]) for dim, i in zip(variable.dims[2:], index, strict=True)]
    return f"{variable.name}[{', '.join(labels)}]" if labels else str(variable.name)
