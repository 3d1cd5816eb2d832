"""Cards: what a table or a fit says, and what it cannot say, for those who meet it without the package."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayespref import __version__
from bayespref.cards import croissant as croissant_file
from bayespref.cards.text import dataset_header, named, render, table
from bayespref.comparisons import Comparisons
from bayespref.dims import CONTEXT, ITEM, OUTCOMES, STATE
from bayespref.graph.check import CheckResult, check
from bayespref.graph.coverage import coverage
from bayespref.provenance import file_hash, stamp

_OUTCOMES = {"a": "first item preferred", "b": "second item preferred", "tie": "ties", "both_bad": "both bad"}
_PLURAL = {"state": "States", "annotator": "Annotators", "context": "Contexts", "environment": "Environments"}


def dataset_card(
    comparisons: Comparisons,
    *,
    name: str,
    description: str = "",
    license: str | None = None,
    by: Sequence[str] = (STATE,),
) -> str:
    """Dataset card in the Hugging Face Hub's form, with the table's identifiability coverage.

    Parameters
    ----------
    comparisons : Comparisons
        The table.
    name : str
        Name of the data set.
    description : str
        How the comparisons were collected: who was asked, who chose the questions. Without it the card says that
        nobody has said so.
    license : str, optional
        Identifier of the licence as the Hub spells it, such as ``apache-2.0``.
    by : sequence of str
        Columns that define a stratum, as in :func:`bayespref.check`.

    Returns
    -------
    str
        Markdown with a YAML header: facts, checks with next steps, identified contrasts by stratum, groups never
        compared with each other, coverage of cells, what to collect, limits, provenance. Never a ranking.

    Raises
    ------
    ImportError
        If ``huggingface_hub`` (extra ``cards``) is not installed.

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> two_blocks = from_codes(np.array([0, 2]), np.array([1, 3]), np.array([2, 2]), items=("w", "x", "y", "z"))
    >>> print(dataset_card(two_blocks, name="blocks").split("**")[1])
    The items cannot be ranked as a whole: of 6 pairs of items, the data identify 2.
    """
    result = check(comparisons, by=by)
    spread, cells_words = coverage_cells(comparisons, by)
    identified = contrasts_identified(result)
    suggestions = result.suggestions
    return render(
        "dataset.md.j2",
        dataset_header(license=license, pretty_name=name, n_rows=comparisons.n_rows),
        stamp("bayespref.dataset-card", data_hash=comparisons.data_hash),
        name=name,
        headline=f"{headline(identified)} {_empty_cells(spread)}".strip(),
        description=description,
        facts=table(facts(comparisons)),
        checks=table(result.to_frame()[["check", "verdict", "words"]]),
        next_steps=[(line.name, line.next_step) for line in result.checks if line.next_step],
        identified=table(identified),
        pieces=_pieces(result),
        coverage=table(spread),
        coverage_statement=cells_words[:1].upper() + cells_words[1:],
        suggestions=table(suggestions, 20) if len(suggestions) else None,
        suggestions_words="These comparisons would join what is not joined, or could end separation; reason says which."
        if len(suggestions)
        else "Nothing is needed to join the items of a stratum; precision and coverage may still ask for more.",
        limits=_limits(comparisons, result),
        provenance=table(_provenance(comparisons)),
    )


def croissant(
    comparisons: Comparisons,
    path: str | os.PathLike[str],
    *,
    name: str,
    description: str = "",
    license: str | None = None,
    url: str | None = None,
    version: str = "1.0.0",
) -> dict[str, Any]:
    """Croissant 1.0 description of the file a table was read from, its limits included.

    Parameters
    ----------
    comparisons : Comparisons
        Read from ``path``.
    path : path
        The file; its hash and size are taken now.
    name, description, license, url, version
        Of the data set; a URL or an SPDX name for the licence.

    Returns
    -------
    dict
        JSON-LD, to be kept beside the file.

    Raises
    ------
    ValueError
        If the table was not read from a file with named columns, or the file has no known media type.
    """
    columns = comparisons.provenance.get("columns")
    if not columns:
        raise ValueError("comparisons: must come from read_comparisons, which records the columns of the file")
    file = Path(path)
    result = check(comparisons)
    return croissant_file.croissant(
        name=name,
        description=description or f"Pairwise preferences: {headline(contrasts_identified(result))}",
        file_name=file.name,
        file_sha256=file_hash(file).removeprefix("sha256:"),
        file_bytes=file.stat().st_size,
        columns=columns,
        limits=" ".join(f"{line.words}." for line in result.checks if line.verdict != "yes")
        or "No check of connection, separation or coverage failed.",
        data_hash=comparisons.data_hash,
        version=version,
        license=license,
        url=url,
    )


def facts(comparisons: Comparisons) -> pd.DataFrame:
    """What was compared: counts of rows, labels and outcomes, and what was dropped; ``fact`` and ``value``."""
    total = np.bincount(comparisons.outcome, weights=comparisons.weight, minlength=len(OUTCOMES))
    rows: list[tuple[str, object]] = [
        ("Rows", comparisons.n_rows),
        ("Comparisons (rows times weight)", float(comparisons.weight.sum())),
        ("Items", comparisons.n_items),
    ]
    rows += [(words, len(comparisons.labels(dim))) for dim, words in _PLURAL.items() if comparisons.labels(dim)]
    rows += [(_OUTCOMES[key].capitalize(), float(total[code])) for code, key in enumerate(OUTCOMES) if total[code]]
    if comparisons.feature_names:
        rows.append(("Features of items", named(comparisons.feature_names)))
    dropped = comparisons.provenance.get("dropped")
    rows.append(("Dropped on reading", json.dumps(dropped) if dropped else "nothing"))
    return pd.DataFrame(rows, columns=["fact", "value"])


def contrasts_identified(result: CheckResult) -> pd.DataFrame:
    """Per stratum: items, comparisons, components, and how many contrasts between its items the data identify.

    Returns
    -------
    DataFrame
        One row a stratum, the least identified first; empty where the check could not look at strata times items.
    """
    names = ["items", "comparisons", "components", "contrasts", "identified", "finite"]
    if result.connectivity is None:
        return pd.DataFrame(columns=["stratum", *names])
    graph, dims = result.connectivity, [str(dim) for dim in result.connectivity["n_items"].dims]
    present = graph["present"].transpose(*dims, ITEM).values.reshape(-1, graph.sizes[ITEM])
    pairs = {}
    for name in ("component", "strong_component"):
        label = graph[name].transpose(*dims, ITEM).values.reshape(present.shape)
        pairs[name] = np.array([_pairs(one[seen]) for one, seen in zip(label, present, strict=True)], dtype=int)
    n = present.sum(axis=1)
    frame = pd.DataFrame(
        {
            "stratum": _strata_names(graph, dims),
            "items": n,
            "comparisons": graph["n_comparisons"].values.reshape(-1),
            "components": graph["n_components"].values.reshape(-1),
            "contrasts": n * (n - 1) // 2,
            "identified": pairs["component"],
            "finite": pairs["strong_component"],
        }
    )
    lost = (frame["contrasts"] - frame["identified"]).to_numpy()
    return frame.iloc[np.argsort(-lost, kind="stable")].reset_index(drop=True)


def headline(identified: pd.DataFrame) -> str:
    """Say in one sentence whether strata can be ranked as a whole."""
    if identified.empty:
        return "Not looked at: strata times items are too many; stratify by fewer columns."
    split = identified[identified["identified"] < identified["contrasts"]]
    if split.empty:
        return f"In all {len(identified):,} strata comparisons join every item with every other."
    have, all_pairs = int(split["identified"].sum()), int(split["contrasts"].sum())
    if len(identified) == 1:
        return f"The items cannot be ranked as a whole: of {all_pairs:,} pairs of items, the data identify {have:,}."
    return (
        f"{len(split):,} of {len(identified):,} strata cannot be ranked as a whole: of {all_pairs:,} pairs of items "
        f"there, the data identify {have:,}."
    )


def coverage_cells(comparisons: Comparisons, by: Sequence[str] = (STATE,)) -> tuple[pd.DataFrame, str]:
    """Count, share with interval, and emptiness of every cell of strata by context, the emptiest first; and words."""
    dims = tuple(dict.fromkeys((*by, *((CONTEXT,) if comparisons.context is not None else ()))))
    if not dims:
        return pd.DataFrame(), "The whole table is one cell"
    try:
        cells = coverage(comparisons, dims, 0.0)
    except ValueError as error:
        return pd.DataFrame(), f"Not looked at: {error}"
    named_dims = [str(dim) for dim in cells["count"].dims]
    frame = cells[["count", "mass", "lower", "upper", "empty"]].to_dataframe().reset_index()
    frame = frame[[*named_dims, "count", "mass", "lower", "upper", "empty"]]
    frame = frame.rename(columns={"count": "comparisons", "mass": "share"})
    order = np.argsort(frame["comparisons"].to_numpy(), kind="stable")
    return frame.iloc[order].reset_index(drop=True), str(cells.attrs["statement"])


def _empty_cells(cells: pd.DataFrame) -> str:
    n = int(cells["empty"].sum()) if len(cells) else 0
    dims = list(cells.columns[: list(cells.columns).index("comparisons")]) if n else []
    return f"{n:,} of {len(cells):,} cells of {' and '.join(dims)} have no comparison at all." if n else ""


def pieces_of(result: CheckResult) -> pd.DataFrame:
    """Members of every component, for strata that fall into several: ``stratum, component, items, members``."""
    rows: list[tuple[str, int, int, str]] = []
    if result.connectivity is not None:
        graph, dims = result.connectivity, [str(dim) for dim in result.connectivity["n_items"].dims]
        label = graph["component"].transpose(*dims, ITEM).values.reshape(-1, graph.sizes[ITEM])
        present = graph["present"].transpose(*dims, ITEM).values.reshape(label.shape)
        items = graph[ITEM].values.astype(str)
        split = np.flatnonzero(graph["n_components"].values.reshape(-1) > 1)
        strata = _strata_names(graph, dims)
        for s in split.tolist():
            own, name = label[s][present[s]], items[present[s]]
            for number, code in enumerate(np.unique(own)):
                members = [str(item) for item in name[own == code]]
                rows.append((strata[s], number + 1, len(members), named(members)))
    return pd.DataFrame(rows, columns=["stratum", "component", "items", "members"])


def _pieces(result: CheckResult) -> Any:
    found = pieces_of(result)
    return table(found) if len(found) else None


def _pairs(label: np.ndarray) -> int:
    """Pairs of entries with one label."""
    size = np.unique(label, return_counts=True)[1]
    return int((size * (size - 1) // 2).sum())


def _strata_names(graph: xr.Dataset, dims: Sequence[str]) -> list[str]:
    if not dims:
        return ["the whole table"]
    labels = [graph[dim].values.astype(str) for dim in dims]
    shape = tuple(len(one) for one in labels)
    return [" / ".join(str(one[i]) for one, i in zip(labels, at, strict=True)) for at in np.ndindex(*shape)]


def _limits(comparisons: Comparisons, result: CheckResult) -> list[str]:
    said = []
    if comparisons.annotator is None:
        said.append("The table does not say who judged: latent types cannot be told apart, and intervals that need "
                    "independent people cannot be made.")  # fmt: skip
    if comparisons.context is None:
        said.append("The table does not say in which context a question was asked: whether kinds of askers prefer "
                    "differently cannot be checked.")  # fmt: skip
    if comparisons.propensity is None:
        said.append("The table does not say with which probability a pair was shown: no weight can undo who was shown "
                    "what.")  # fmt: skip
    if comparisons.position is None:
        said.append("The table does not say which item was shown first: an effect of order cannot be told apart.")
    if result.connectivity is None:
        said.append("Strata times items are too many for the table of identified contrasts; stratify by fewer columns.")
    return said


def _provenance(comparisons: Comparisons) -> pd.DataFrame:
    rows = [("Data hash (SHA-256)", comparisons.data_hash)]
    rows += [
        (key.replace("_", " ").capitalize(), value if isinstance(value, str) else json.dumps(value))
        for key, value in comparisons.provenance.items()
        if key in ("source", "world", "adapter", "rows_read", "seed") and value is not None
    ]
    rows.append(("Card written by", f"bayespref {__version__}"))
    return pd.DataFrame(rows, columns=["fact", "value"])
