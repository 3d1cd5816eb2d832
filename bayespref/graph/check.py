"""``check``: what can this table tell, and what can it not? A verdict in words on each question, with the next step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import xarray as xr

from bayespref import __version__
from bayespref.checks import non_negative
from bayespref.comparisons import Comparisons
from bayespref.display import block
from bayespref.graph import contexts, gates, verdicts
from bayespref.graph.build import MAX_CELLS, nodes, pair_table
from bayespref.graph.connect import connectivity_of
from bayespref.graph.environments import check_environments
from bayespref.graph.gates import Deployment
from bayespref.graph.suggest import suggestions_of
from bayespref.graph.verdicts import CheckLine

_SHOWN = 5
SCHEMA_VERSION = 1
"""Version of the JSON that ``CheckResult.to_json`` writes; its JSON Schema lies beside this file."""
EXIT_OK, EXIT_FAILED, EXIT_BAD_INPUT = 0, 1, 2
"""Exit codes: no check failed; a check failed; the table could not be read (raised, never returned by a result)."""


@dataclass(frozen=True, eq=False)
class CheckResult:
    """Verdicts on a table of comparisons, with the numbers they rest on.

    Attributes
    ----------
    checks : tuple of CheckLine
        Name, verdict (yes, no, undecided), words, reason code, next step and numbers of each check.
    connectivity : Dataset or None
        See :func:`bayespref.graph.connect.connectivity`; None where strata times items exceed 20 million.
    suggestions : DataFrame
        See :func:`bayespref.graph.connect.suggest_comparisons`.
    settings : dict
        Arguments of the check, package version and hash of the data.
    """

    checks: tuple[CheckLine, ...]
    connectivity: xr.Dataset | None
    suggestions: pd.DataFrame
    settings: dict[str, object]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that fail the gate: verdict no (or undecided, if asked), less those allowed."""
        bad = ("no", "undecided") if self.settings.get("fail_undecided") else ("no",)
        return tuple(check.name for check in self.checks if check.verdict in bad and check.name not in self._allowed)

    @property
    def ok(self) -> bool:
        """Whether no check failed (an undecided one does not fail unless asked, an allowed one never does)."""
        return not self.failed

    @property
    def _allowed(self) -> tuple[str, ...]:
        allowed = self.settings.get("allow", ())
        return tuple(str(name) for name in allowed) if isinstance(allowed, list | tuple) else ()

    @property
    def exit_code(self) -> int:
        """0 if no check failed, else 1 (2 is kept for tables that cannot be read)."""
        return EXIT_OK if self.ok else EXIT_FAILED

    def __getitem__(self, name: str) -> CheckLine:
        """Return the check of this name."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(f"{name!r}: no such check; there are {[check.name for check in self.checks]}")

    def to_frame(self) -> pd.DataFrame:
        """One row a check: check, verdict, words, reason, next_step."""
        rows = [(c.name, c.verdict, c.words, c.reason, c.next_step) for c in self.checks]
        return pd.DataFrame(rows, columns=["check", "verdict", "words", "reason", "next_step"], dtype=object)

    def to_json(self) -> str:
        """Machine-readable verdicts, numbers and suggestions."""
        content = {
            "kind": "bayespref.check",
            "schema_version": SCHEMA_VERSION,
            "ok": self.ok,
            "exit_code": self.exit_code,
            "failed": list(self.failed),
            **self.settings,
            "checks": [check._asdict() for check in self.checks],
            "suggestions": self.suggestions.to_dict(orient="records"),
        }
        return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)

    def __str__(self) -> str:
        rows = [self._headline()]
        for check in self.checks:
            rows.append(f"- {check.words}")
            if check.next_step is not None:
                rows.append(f"    next: {check.next_step}")
        return "\n".join(rows + self._collect())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        rows = [(c.name, c.verdict, c.words.split(", ", 1)[1], c.next_step or "") for c in self.checks]
        columns = ("Check", "Verdict", "What was found", "Next step")
        steps = [] if self.failed else ["fit a model, or set thresholds of your own (--thresholds)"]
        return block("check", self._headline(), steps, columns, rows, notes=self._collect())

    def _headline(self) -> str:
        failed = self.failed
        total = len(self.checks)
        let = [check.name for check in self.checks if check.verdict == "no" and check.name in self._allowed]
        aside = f"; allowed to fail: {', '.join(let)}" if let else ""
        if not failed:
            return f"check: yes, none of {total} checks failed{aside}"
        return f"check: no, {len(failed)} of {total} checks failed ({', '.join(failed)}){aside}"

    def _collect(self) -> list[str]:
        rows = []
        apart = self.suggestions["reason"] == "separated"
        for frame, purpose in (
            (self.suggestions[~apart], "would join what is not joined"),
            (self.suggestions[apart], "could end separation (each only if item_b wins or ties)"),
        ):
            if len(frame) == 0:
                continue
            keys = list(frame.columns[: frame.columns.get_loc("item_a")])  # columns of the stratum come first
            shown = []
            for row in frame.head(_SHOWN).to_dict(orient="records"):
                where = " / ".join(str(row[key]) for key in keys)
                shown.append(f"{row['item_a']} against {row['item_b']}" + (f" in {where}" if where else ""))
            more = f"; and {len(frame) - _SHOWN:,} more" if len(frame) > _SHOWN else ""
            rows.append(f"{verdicts.plural(len(frame), 'comparison')} {purpose}: {'; '.join(shown)}{more}")
        return rows


def check(
    comparisons: Comparisons,
    *,
    by: Sequence[str] = ("state",),
    floor: float = 1,
    n_min: float = 1,
    min_labels: float = 3,
    mass_floor: float | None = None,
    deployment: Deployment | None = None,
    missing_mass: float = 0.05,
    largest_ratio: float | None = None,
    least_effective_share: float | None = None,
    level: float = 0.95,
    allow: Sequence[str] = (),
    fail_undecided: bool = False,
) -> CheckResult:
    """Say what a table of comparisons can and cannot tell, before any model is fitted.

    Parameters
    ----------
    comparisons : Comparisons
    by : sequence of str
        Columns that define a stratum, among annotator, environment, context, state; empty for the whole table.
    floor : float
        Fewest comparisons a cell of strata by context needs to count as covered.
    n_min : float
        Fewest comparisons of a pair that make an edge.
    min_labels : float
        Labels an annotator needs for latent types to be told apart: three, since two labels of a binary item leave the
        parameters of a two-class mixture unidentified (Kruskal 1977; Allman, Matias and Rhodes 2009).
    mass_floor : float, optional
        Least share of the collection of every cell of strata by context; asked only if given.
    deployment : Comparisons, DataFrame or DataArray, optional
        Where the system will be used, as in :func:`bayespref.graph.coverage.missing_mass`; by context too if it names
        contexts.
    missing_mass : float
        Largest share of the deployment that may fall on cells without comparisons: no if the interval lies above it,
        undecided if it holds it.
    largest_ratio, least_effective_share : float, optional
        Largest importance weight of a covered cell, and least share of rows left in effect by the weights.
    level : float
        Level of the Clopper-Pearson intervals.
    allow : sequence of str
        Checks that may fail: they are reported, and do not change ``ok`` and the exit code.
    fail_undecided : bool
        Whether an undecided check fails too.

    Returns
    -------
    CheckResult
        Verdicts yes, no or undecided, in words and numbers; ``ok``, ``exit_code``, ``to_json()``, ``to_frame()``.

    Raises
    ------
    TableError
        If the table lacks a column named in ``by``.
    ValueError
        If ``by``, ``floor``, ``n_min`` or ``min_labels`` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(np.array([0, 2]), np.array([1, 3]), np.array([2, 2]), items=("w", "x", "y", "z"))
    >>> result = check(table)
    >>> result.ok, result["connected"].reason
    (False, 'disconnected')
    >>> print(result["strongly connected"].words.split(":")[1])
     yes, no item or group always wins or always loses against the rest of its component
    """
    for name, value in (("floor", floor), ("min_labels", min_labels), ("missing_mass", missing_mass)):
        non_negative(name, value)
    if not 0 < level < 1:
        raise ValueError(f"level: must lie in (0, 1), got {level!r}")
    for name, limit in (("largest_ratio", largest_ratio), ("least_effective_share", least_effective_share)):
        if limit is not None:
            non_negative(name, limit)
    pairs = pair_table(comparisons, by, n_min=n_min)
    graph = nodes(pairs)
    lines: list[CheckLine | None] = [verdicts.check_comparisons(comparisons)]
    if len(graph.item):
        lines += [
            verdicts.check_strata_observed(comparisons, pairs, graph),
            verdicts.check_connected(comparisons, pairs, graph),
            verdicts.check_strongly_connected(comparisons, pairs, graph),
            verdicts.check_identified(pairs, graph),
            verdicts.check_items_everywhere(comparisons, pairs, graph),
            verdicts.check_joined_across(comparisons, pairs, graph, n_min),
        ]
        if comparisons.context is not None:
            lines += contexts.check_contexts(comparisons, pairs.by, floor, n_min)
        if len(comparisons.environments) > 1:
            lines.append(check_environments(comparisons, pairs.by, n_min))
        lines.append(verdicts.check_types(comparisons, min_labels))
        if mass_floor is not None:
            lines.append(gates.check_mass(comparisons, pairs.by, mass_floor, level))
        if deployment is not None:
            lines += gates.check_deployment(
                comparisons,
                pairs.by,
                deployment,
                limit=missing_mass,
                level=level,
                largest_ratio=largest_ratio,
                least_effective_share=least_effective_share,
            )
    checks = tuple(found for found in lines if found is not None)
    unknown = sorted(set(allow) - {found.name for found in checks})
    if unknown and len(graph.item):
        raise ValueError(f"allow: no such check(s) {unknown}; this table has {[found.name for found in checks]}")
    dense = pairs.n_strata * pairs.n_items <= MAX_CELLS
    return CheckResult(
        checks=checks,
        connectivity=connectivity_of(comparisons, pairs, n_min=n_min) if dense else None,
        suggestions=suggestions_of(comparisons, pairs, graph),
        settings={
            "by": list(pairs.by),
            "floor": floor,
            "n_min": n_min,
            "min_labels": min_labels,
            "mass_floor": mass_floor,
            "missing_mass": missing_mass,
            "largest_ratio": largest_ratio,
            "least_effective_share": least_effective_share,
            "level": level,
            "allow": list(allow),
            "fail_undecided": bool(fail_undecided),
            "version": __version__,
            "data_hash": comparisons.data_hash,
        },
    )
