"""Options and arguments that several verbs share, and what they stand for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayespref.comparisons import Comparisons
    from bayespref.defer.policy import DeferralPolicy

Table = Annotated[Path, typer.Argument(help="Table of comparisons: .csv, .parquet or .jsonl.", show_default=False)]
Tree = Annotated[Path, typer.Argument(help="A fit saved by `bayespref fit` or `run` (.nc).", show_default=False)]
AdapterOption = Annotated[str | None, typer.Option(help="Shape of the table, e.g. labels (1 = item_a preferred).")]
ColumnOption = Annotated[
    list[str] | None, typer.Option("--column", help="canonical=column, e.g. annotator=rater_id; repeat for more.")
]
FeatureOption = Annotated[
    list[str] | None, typer.Option("--feature", help="Item attribute in columns NAME_a and NAME_b; repeat for more.")
]
ModelOption = Annotated[str, typer.Option(help="single, latent_types, linear_types, pooled_types or latent_traits.")]
TypesOption = Annotated[int | None, typer.Option("--types", help="Number of latent types.")]
SeedOption = Annotated[int, typer.Option(help="Seed; the same seed gives the same draws.")]
RangeOption = Annotated[
    tuple[float, float], typer.Option("--range", help="Assumed range of rewards, log-odds; widened where refuted.")
]
CostOption = Annotated[float, typer.Option("--cost", help="Cost of deferring, log-odds of reward.")]
ItemOption = Annotated[list[str] | None, typer.Option("--item", help="Item to decide among; repeat (default: all).")]
RegionOption = Annotated[str, typer.Option(help="What a decision sees: state, or state_type.")]
NewRangeOption = Annotated[
    tuple[float, float] | None, typer.Option("--range", help="Assumed range of rewards, log-odds.", show_default=False)
]
NewRegionOption = Annotated[str | None, typer.Option("--regions", help="state, or state_type.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, for other programs.")]
OutOption = Annotated[Path, typer.Option("--out", help="File to write.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]


_ASKED_FOR = {
    "state": ("prompt", ("prompt", "question", "task", "topic", "query", "instruction")),
    "annotator": ("person", ("annotator", "user", "rater", "judge", "worker", "person", "voter", "who")),
    "context": ("segment", ("segment", "group", "locale", "country", "language")),
}
"""Roles that a forgotten column may have: what it would tell of a row, and words that its name may hold."""


def read_table(table: Path, adapter: str | None, column: list[str] | None, feature: list[str] | None) -> Comparisons:
    """Table of comparisons, columns mapped as `--column` says; a column that is not read is named on stderr."""
    from bayespref.data.table import read_comparisons

    given = column_map(column)
    comparisons = read_comparisons(table, adapter=adapter, columns=given or None, features=feature or None)
    left = [str(name) for name in comparisons.provenance["unused_columns"] if given.get(name, "") is not None]
    free = [role for role in _ASKED_FOR if role not in comparisons.provenance["columns"] and role not in given]
    if left:
        note = f"note: columns not read: {', '.join(left)}"
        note += "; all rows are taken as one state" if "state" in free else ""
        asked = f"; if a column says which {' or '.join(_ASKED_FOR[role][0] for role in free)} a row is about, give it "
        typer.echo(note + (f"{asked}with --column{_proposed(table, left, free)}" if free else ""), err=True)
    return comparisons


def _proposed(table: Path, left: list[str], free: list[str]) -> str:
    """Propose the unread column that most likely has a free role: by its name, else the one with the fewest values."""
    import pyarrow as pa

    from bayespref.data.source import open_table
    from bayespref.errors import TableError

    try:
        loaded = open_table(table).load(left)
        n_values = {name: len(values.unique()) for name, values in loaded.items()}
    except (TableError, pa.ArrowException):
        return ""
    repeated = [name for name in left if 1 < n_values[name] <= len(loaded[name]) / 2]  # an id is all different
    named = [
        (role, name) for role in free for name in repeated if any(word in name.lower() for word in _ASKED_FOR[role][1])
    ]
    fewest = [(free[0], name) for name in sorted(repeated, key=n_values.__getitem__)]
    return "".join(f", e.g. --column {role}={name}" for role, name in (named or fewest)[:1])


def column_map(column: list[str] | None) -> dict[str, str | None]:
    """Turn `canonical=column` pairs into a mapping; nothing after the sign drops the column."""
    columns: dict[str, str | None] = {}
    for pair in column or []:
        name, separator, source = pair.partition("=")
        if not separator:
            raise ValueError(f"--column: write canonical=column, got {pair!r}")
        if name in columns:
            raise ValueError(f"--column: {name!r} is given twice, as {columns[name] or ''!r} and as {source!r}")
        columns[name] = source or None
    return columns


def numbers(option: str, pairs: list[str] | None) -> float | dict[str, float]:
    """One where nothing is named, else name -> number."""
    named = {}
    for pair in pairs or []:
        name, separator, number = pair.partition("=")
        try:
            named[name] = float(number)
        except ValueError:
            separator = ""
        if not separator:
            raise ValueError(f"{option}: write name=number, got {pair!r}")
    return named or 1.0


def model_options(types: int | None) -> dict[str, Any]:
    """Keyword arguments of the model."""
    return {} if types is None else {"n_types": types}


def analysed(
    path: Path, reward_range: tuple[float, float] | None, items: list[str] | None, regions: str | None
) -> xr.DataTree:
    """A saved fit, analysed anew where it was not, or where an option replaces what it was analysed with."""
    from bayespref.posterior.store import load_fit
    from bayespref.workflow import analyse

    tree = load_fit(path)
    given: dict[str, Any] = {"reward_range": reward_range, "items": items, "regions": regions}
    changed = {name: value for name, value in given.items() if value is not None}
    return tree if "defer" in tree.children and not changed else analyse(tree, **changed)


def verdict_words(tree: xr.DataTree) -> tuple[list[str], dict[str, Any]]:
    """What convergence says of a fit, line by line with next steps; the same with seed and hash as JSON fields."""
    from bayespref.posterior.tree import tree_meta
    from bayespref.posterior.verdict import convergence

    verdicts, meta = convergence(tree), tree_meta(tree)
    fields = {name: meta[name] for name in ("model", "data_hash", "seed", "versions")}
    steps = [f"{one.words}\n    next: {one.next_step}" if one.next_step else one.words for one in verdicts[1:]]
    return [verdicts[0].words, *steps], fields | {
        "converged": verdicts[0].ok,
        "verdicts": [one._asdict() for one in verdicts],
    }


def decided(tree: xr.DataTree, policy: DeferralPolicy, cost: float, fit: Path) -> list[str]:
    """Where a policy acts, and whether its draws are trusted; if it defers, why and what next; what it assumes."""
    from bayespref.report.headline import what_it_does, why_it_defers

    table = policy.to_table()
    lines = [what_it_does(tree, table, cost)]
    if untrusted := tree["defer"].attrs.get("untrusted"):
        lines.append(f"do not rely on it: {untrusted}")
    if why := why_it_defers(table):
        nowhere = not (table["decision"] == "act").any()
        dear = "; if deferring costs you more, say so with --cost" if nowhere else ""
        lines += [f"main reason: {why[0]}", f"next: {why[1]} (`bayespref design {fit}` proposes which){dear}"]
    return [*lines, f"assumes: {'; '.join(policy.assumptions)}"]


def note_replaced(*files: Path) -> None:
    """Say on stderr which files are there already and will be replaced."""
    if there := [str(file) for file in files if file.is_file()]:
        typer.echo(f"note: will replace {', '.join(there)}", err=True)


def print_json(verb: str, **fields: Any) -> None:
    """Print one JSON object that says which verb wrote it and in which version of its shape."""
    whole = {"kind": f"bayespref.{verb}", "schema_version": 1, **fields}
    typer.echo(json.dumps(whole, ensure_ascii=False, allow_nan=False, default=str, indent=1))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as JSON objects: undefined is null, unbounded is "inf"."""
    known = frame.astype(object).where(frame.notna(), None)
    return [{str(key): _unbounded(value) for key, value in row.items()} for row in known.to_dict(orient="records")]


def _unbounded(value: Any) -> Any:
    return str(value) if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def bars(quiet: bool) -> bool:
    """Whether a fit shows progress bars: on a terminal, unless told not to."""
    return not quiet and sys.stderr.isatty()


@contextmanager
def steps(verb: str, names: Sequence[str], quiet: bool) -> Iterator[Callable[[], None]]:
    """Show on stderr which step of a verb runs; nothing where stderr is no terminal.

    Parameters
    ----------
    verb : str
        Said in front.
    names : sequence of str
        The steps, in order.
    quiet : bool
        Show nothing.

    Yields
    ------
    callable
        To be called once after each step.
    """
    from tqdm import tqdm

    with tqdm(
        total=len(names),
        desc=f"{verb}: {names[0]}",
        disable=True if quiet else None,
        file=sys.stderr,
        leave=False,
        bar_format="{desc} {bar:20} {n_fmt}/{total_fmt} [{elapsed}]",
    ) as bar:

        def done() -> None:
            bar.update()
            if bar.n < len(names):
                bar.set_description_str(f"{verb}: {names[bar.n]}")

        yield done
