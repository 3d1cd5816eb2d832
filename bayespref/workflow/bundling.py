"""Audit bundle: everything a reviewer asks for, in one zip that a spreadsheet and a browser can read."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from bayespref.cards.archive import write_archive
from bayespref.comparisons import Comparisons
from bayespref.dims import CONTEXT, ITEM, OUTCOMES, STATE
from bayespref.errors import ArtefactError, EffectModification, RegimeError, TableError, TargetMixError
from bayespref.graph.check import check
from bayespref.graph.swap_rate import plan_swaps
from bayespref.graph.swaps import prompt_swaps
from bayespref.posterior.tree import tree_comparisons, tree_meta, tree_stamp
from bayespref.target.regime import Regime
from bayespref.workflow.describing import contrasts_identified, coverage_cells, dataset_card, pieces_of
from bayespref.workflow.describing_fit import breakdown, fit_card, need_analysis, thresholds, verdict_table
from bayespref.workflow.reweighting import reweight
from bayespref.workflow.running import policy, report

_SWAP_FLOOR, _SWAP_ROWS = 5, 2000
_MOST_CELLS = 200_000


def bundle(
    tree: xr.DataTree,
    path: str | os.PathLike[str],
    *,
    c_defer: float,
    name: str,
    rule: str = "set_pure",
    regime: Regime | None = None,
    studies: Sequence[str | os.PathLike[str]] = (),
    description: str = "",
    license: str | None = None,
) -> Path:
    """Write the audit bundle of an analysed fit: one zip that a reviewer reads without Python.

    Parameters
    ----------
    tree : DataTree
        From :func:`bayespref.analyse` or :func:`bayespref.run`.
    path : path
        The ``.zip`` to write, whole or not at all.
    c_defer : float
        Cost of deferring, log-odds of reward.
    name : str
        Name of table and model on the cards.
    rule : {"set_pure", "chow", "credible"}
        Rule of the policy.
    regime : Regime, optional
        Declared target population: adds the declaration, and where it is over contexts the propensity and overlap
        report with the trust verdict.
    studies : sequence of path, optional
        Folders that :func:`bayespref.studies.runner.run_study` wrote, each with its ``verdict.json``.
    description, license
        For the dataset card.

    Returns
    -------
    pathlib.Path
        Same content, same bytes: no dates inside. What could not be made is listed in the manifest under ``absent``,
        with the reason.

    Raises
    ------
    ValueError
        If the tree was not analysed, or the regime does not fit its table.
    ArtefactError
        If a study folder has no readable ``verdict.json``.
    ImportError
        If ``huggingface_hub`` (extra ``cards``) is not installed.
    """
    need_analysis(tree)
    comparisons = tree_comparisons(tree)
    made = _Files()
    strength = breakdown(tree)
    card = fit_card(tree, strength, c_defer=c_defer, name=name, rule=rule, license=license)
    made.text("model-card.md", card, "What the fit decides, what that rests on, when it would change.")
    made.text(
        "dataset-card.md",
        dataset_card(comparisons, name=name, description=description, license=license),
        "What was compared, what the table can tell and what it cannot.",
    )
    made.text("report.html", _report(tree, name, c_defer), "The report with its figures; opens in any browser.")
    decisions = policy(tree, c_defer=c_defer, rule=rule)
    made.text("policy/policy.json", decisions.to_json(), "The policy as a system loads it.")
    made.frame("policy/decisions.csv", decisions.to_table(), "Decision, reason, score and threshold of every region.")
    made.frame("policy/thresholds.csv", thresholds(tree), "Cost of deferring from which each region acts, by rule.")
    _data(made, comparisons)
    _fit(made, tree, *strength)
    _target(made, comparisons, regime)
    _studies(made, studies)
    stamp = {**tree_stamp("bayespref.bundle", tree), "name": name, "c_defer": c_defer, "rule": rule}
    made.text("README.txt", _readme(made, name, tree), "Start here.")
    return write_archive(path, made.files, made.about, {**stamp, "absent": made.absent})


class _Files:
    """Files of a bundle as they are made, each with its words; and what could not be made, with the reason."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.about: dict[str, str] = {}
        self.absent: dict[str, str] = {}

    def text(self, name: str, text: str, about: str) -> None:
        self.files[name], self.about[name] = text.encode(), about

    def frame(self, name: str, frame: pd.DataFrame, about: str) -> None:
        self.text(name, frame.to_csv(index=False, lineterminator="\n"), about)

    def json(self, name: str, fields: Any, about: str) -> None:
        self.text(name, json.dumps(fields, indent=1, allow_nan=False) + "\n", about)


def _data(made: _Files, comparisons: Comparisons) -> None:
    result = check(comparisons)
    made.text("data/checks.json", result.to_json() + "\n", "Every check of the table, for machines.")
    made.frame("data/checks.csv", result.to_frame(), "Every check of the table: verdict, words, next step.")
    made.frame("data/contrasts.csv", contrasts_identified(result), "Contrasts identified by the data, by state.")
    made.frame("data/components.csv", pieces_of(result), "Groups of items never compared with each other.")
    made.frame("data/suggestions.csv", result.suggestions, "Comparisons that would join what is not joined.")
    cells, words = coverage_cells(comparisons)
    if len(cells):
        made.frame("data/coverage.csv", cells, f"Comparisons by cell, with intervals of their share. {words}.")
    else:
        made.absent["data/coverage.csv"] = words
    if comparisons.context is not None and len(cells):
        wide = cells.pivot_table(index=STATE, columns=CONTEXT, values="comparisons", aggfunc="sum").reset_index()
        made.frame("data/coverage_matrix.csv", wide, "The same as a matrix: states down, contexts across.")
    else:
        made.absent["data/coverage_matrix.csv"] = "the table names no contexts"
    keys, counts = comparisons.pair_counts()
    if len(keys) <= _MOST_CELLS:
        frame = pd.DataFrame(
            {
                "state": [comparisons.states[code] for code in keys[:, 0]],
                "item_a": [comparisons.items[code] for code in keys[:, 1]],
                "item_b": [comparisons.items[code] for code in keys[:, 2]],
            }
            | {name: counts[:, code] for code, name in enumerate(OUTCOMES)}
        )
        made.frame("data/pairs.csv", frame, "How often each pair was compared in each state, by outcome.")
    else:
        made.absent["data/pairs.csv"] = f"{len(keys):,} pairs, more than {_MOST_CELLS:,}"
    _swaps(made, comparisons)


def _swaps(made: _Files, comparisons: Comparisons) -> None:
    """Whether answers move when the same question is asked in another context, and how many swaps coverage asks for."""
    if comparisons.context is None:
        made.absent["data/swaps.csv"] = made.absent["data/swap_plan.csv"] = "the table names no contexts"
        return
    try:
        found = prompt_swaps(comparisons).to_dataframe().reset_index()
        made.frame("data/swaps.csv", found, "Agreement of answers to one question under two contexts.")
    except (TableError, ValueError) as error:
        made.absent["data/swaps.csv"] = str(error)
    try:
        plan = plan_swaps(comparisons, _SWAP_ROWS, _SWAP_FLOOR)
    except (TableError, ValueError) as error:
        made.absent["data/swap_plan.csv"] = str(error)
        return
    frame = plan[["collected", "swapped", "share", "expected", "plausible"]].to_dataframe().reset_index()
    frame = frame.assign(swap_rate=float(plan["rate"]), probability_at_least=float(plan["bound"]))
    about = (
        f"Share of questions to show under another context so that in {_SWAP_ROWS:,} more comparisons every cell gets "
        f"{_SWAP_FLOOR} with probability {float(plan.attrs['probability']):g}."
    )
    made.frame("data/swap_plan.csv", frame, about)


def _fit(made: _Files, tree: xr.DataTree, strength: pd.DataFrame, words: str) -> None:
    made.frame("fit/verdicts.csv", verdict_table(tree), "Whether the fit converged, check by check.")
    made.json("fit/provenance.json", tree_meta(tree), "Model, priors, seed, sampler, versions, hash of the data.")
    bound = tree["bounds"].to_dataset()
    names = ["difference_lower", "difference_upper", "region_lower", "region_upper"]
    if bound["difference_lower"].size <= _MOST_CELLS:
        frame = bound[names].to_dataframe().reset_index()
        frame = frame[frame[ITEM] != frame[f"{ITEM}_other"]]
        frame.insert(len(frame.columns) - len(names), "reason", _reasons(tree, frame))
        made.frame("fit/bounds.csv", frame, "Bounds of every contrast, log-odds, with the reason where not identified.")
    else:
        made.absent["fit/bounds.csv"] = f"{bound['difference_lower'].size:,} contrasts, more than {_MOST_CELLS:,}"
    if len(strength):
        made.frame("fit/breakdown.csv", strength, words)
    else:
        made.absent["fit/breakdown.csv"] = words


def _reasons(tree: xr.DataTree, frame: pd.DataFrame) -> list[str]:
    reason = tree["disagree"]["reason"].to_series()
    keys = list(zip(*(frame[name] for name in reason.index.names), strict=True))
    return [str(code) for code in reason.reindex(keys, fill_value="").to_numpy()]


def _target(made: _Files, comparisons: Comparisons, regime: Regime | None) -> None:
    names = ("target/overlap.csv", "target/trust.json")
    if regime is None:
        for name in ("target/regime.json", *names):
            made.absent[name] = "no target population was declared (--regime)"
        return
    declared = regime.model_dump(mode="json") | {"content_hash": regime.content_hash}
    made.json("target/regime.json", declared, f"Declared target population: {regime.name} {regime.version}.")
    if regime.over != CONTEXT:
        for name in names:
            made.absent[name] = "a regime over latent types is met by tilting the fit, not by weights"
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EffectModification)  # said in words below
            got = reweight(comparisons, regime)
    except (RegimeError, TargetMixError):
        raise
    except ValueError as error:  # no weight reaches this target: a finding, not a slip of the caller
        made.absent |= dict.fromkeys(names, f"weights do not reach the target: {error}")
        return
    made.frame("target/overlap.csv", got.report, "Propensity and overlap report of weights towards the target.")
    trust = {"verdict": got.trust.verdict, "reasons": list(got.trust.reasons), "words": got.trust.words}
    trust |= {"effect": got.modification.words, "regime_hash": got.regime_hash, "logged_hash": got.logged_hash}
    made.json("target/trust.json", trust, got.trust.words)


def _studies(made: _Files, folders: Sequence[str | os.PathLike[str]]) -> None:
    if not folders:
        made.absent["studies"] = "no study was given (--study)"
    for folder in map(Path, folders):
        try:
            said = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
            name = f"studies/{said['study']}-{said['size']}-{said['seed']}"
            words = f"Study {said['study']}: {'agrees' if said['agrees'] else 'DISAGREES'} with what is expected."
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtefactError(f"studies: {folder} has no readable verdict.json ({error})") from None
        for file, about in (("verdict.json", words), ("figure.svg", f"Figure of the study {said['study']}.")):
            if (folder / file).is_file():
                made.files[f"{name}/{file}"], made.about[f"{name}/{file}"] = (folder / file).read_bytes(), about


def _report(tree: xr.DataTree, name: str, c_defer: float) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return report([(name, tree)], Path(folder) / "report.html", c_defer=c_defer).read_text(encoding="utf-8")


def _readme(made: _Files, name: str, tree: xr.DataTree) -> str:
    meta = tree_meta(tree)
    lines = [
        f"AUDIT BUNDLE: {' '.join(name.split())}",
        "",
        "What people preferred, as far as comparisons of two items tell, and what follows for a system that must act.",
        "Nothing here needs Python: .html opens in a browser, .csv in a spreadsheet, .md and .txt in any editor.",
        "",
        "READ IN THIS ORDER",
        "  1. dataset-card.md   what was compared, what the table cannot tell",
        "  2. model-card.md     what the system would do, where it would not act, what that rests on",
        "  3. report.html       the same with figures",
        "  4. policy/           every region: act or defer, why, and from which cost of deferring it would act",
        "",
        "WORDS",
        "  contrast     difference in preference between two items",
        "  identified   a chain of comparisons joins the two items; otherwise the data say nothing about them",
        "  defer        leave the decision to a person",
        "  log-odds     unit of differences: 0 is even, 1.1 is three to one, 2.2 is nine to one",
        "  not a number, empty field   undefined on purpose: no number would be honest there",
        "",
        "FILES",
        *(f"  {file}\n      {made.about[file]}" for file in sorted(made.files)),
        "",
        "NOT IN THIS BUNDLE, AND WHY",
        *([f"  {file}\n      {' '.join(why.split())}" for file, why in sorted(made.absent.items())] or ["  nothing"]),
        "",
        "IS IT COMPLETE AND UNCHANGED?",
        "  MANIFEST.json lists every file with its SHA-256. By hand: sha256sum FILE. With the package:",
        "  bayespref verify BUNDLE.zip --table TABLE",
        "  A hash finds accidents and careless edits. It is no signature.",
        "",
        f"Data hash (SHA-256): {meta['data_hash']}",
        f"Seed: {meta['seed']}",
        f"Versions: {', '.join(f'{key} {value}' for key, value in meta['versions'].items())}",
        "",
    ]
    return "\n".join(lines)
