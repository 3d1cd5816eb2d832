"""The same tables through other tools of the field, ours last: what each prints, for ``docs/comparison.md``.

Run beside the peers: ``pip install arenakit evalica choix crowd-kit``, then ``python -m benchmarks.side_by_side``. A
peer that is not installed is said to be absent. BAYESPREF_DATA names the folder of the real tables.
"""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr

import bayespref
from bayespref.workflow.checking import prior_sensitivity

Rows = Sequence[tuple[str, str, str]]
"""(first, second, a | b | tie)."""

BLOCKS: Rows = [("A", "B", "a")] * 6 + [("A", "B", "b")] * 3 + [("C", "D", "a")] * 6 + [("C", "D", "b")] * 3
ALWAYS: Rows = [("A", "B", "a")] * 9 + [("B", "C", "a")] * 5 + [("B", "C", "b")] * 4


def crowd() -> Rows | None:
    """Judgements of 59 language models by a crowd, all prompts pooled; None where the table is absent."""
    folder = os.environ.get("BAYESPREF_DATA", "")
    file = Path(folder) / "llmfao_crowd" / "comparisons.csv"
    if not file.is_file():
        return None
    table = pd.read_csv(file)
    outcome = table["label"].map({1.0: "a", 0.0: "b", 0.5: "tie"})
    return list(zip(table["item_a"], table["item_b"], outcome, strict=True))


def shown(score: pd.Series, most: int = 4) -> str:
    """First scores in order."""
    ordered = score.sort_values(ascending=False)
    text = ", ".join(f"{name} {value:.2f}" for name, value in ordered.head(most).items())
    return text + (f", ... ({len(score)} in one ranking)" if len(score) > most else "")


def of_arenakit(rows: Rows) -> str:
    """Bradley-Terry board with its default prior of half a battle."""
    from arenakit import Arena, Battle, DisconnectedBoardError, fit_bt, leaderboard

    battles = [Battle(model_a=a, model_b=b, winner=winner) for a, b, winner in rows]
    try:
        arena = Arena(battles)
        board = pd.DataFrame(leaderboard(list(arena.models), fit_bt(arena.counts()), elo=False))
    except DisconnectedBoardError as error:
        return f"refuses: {error}"
    return shown(board.set_index("model")["score"])


def of_evalica(rows: Rows) -> str:
    """Bradley-Terry scores, as logarithms so that they are log-odds."""
    from evalica import Winner, bradley_terry

    first, second, winner = zip(*rows, strict=True)
    codes = {"a": Winner.X, "b": Winner.Y, "tie": Winner.Draw}
    found = bradley_terry(first, second, [codes[one] for one in winner])
    return shown(np.log(found.scores))


def of_choix(rows: Rows) -> str:
    """Penalised maximum likelihood (alpha = 0.01); a tie is left out, since choix knows none."""
    import choix

    names = sorted({name for a, b, _ in rows for name in (a, b)})
    place = {name: i for i, name in enumerate(names)}
    wins = [(place[a], place[b]) if one == "a" else (place[b], place[a]) for a, b, one in rows if one != "tie"]
    return shown(pd.Series(choix.opt_pairwise(len(names), wins, alpha=0.01), index=names))


def of_crowdkit(rows: Rows) -> str:
    """Bradley-Terry of crowd-kit, 100 iterations; a tie is left out."""
    from crowdkit.aggregation import BradleyTerry

    table = [(f"w{i}", a, b, a if one == "a" else b) for i, (a, b, one) in enumerate(rows) if one != "tie"]
    frame = pd.DataFrame(table, columns=["worker", "left", "right", "label"])
    return shown(np.log(BradleyTerry(n_iter=100).fit_predict(frame)))


def of_arviz(rows: Rows) -> str:
    """Summary and power-scaling diagnosis of the contrasts with the first item; the fit under it is ours."""
    table = bayespref.read_comparisons(pd.DataFrame(rows, columns=["item_a", "item_b", "outcome"]))
    tree = bayespref.fit("single", table, rng_key=0, n_starts=1, progress=False)
    reward = tree["posterior"]["reward"].isel(state=0, type=0, drop=True)
    contrasts = (reward - reward.isel(item=0)).isel(item=slice(1, None))
    groups = {"posterior": contrasts.to_dataset(name="contrast"), "log_likelihood": tree["log_likelihood"].to_dataset()}
    asked = xr.DataTree.from_dict({**groups, "log_prior": prior_sensitivity(tree)[["log_prior"]]})
    verdict = arviz_stats.psense_summary(asked)["diagnosis"].to_list()
    if len(verdict) > 4:
        return f"{sum('strong prior' in words for words in verdict)} of {len(verdict)} contrasts: strong prior"
    mean, sd = (getattr(contrasts, name)(("chain", "draw")).values for name in ("mean", "std"))
    first, others = reward["item"].values[0], reward["item"].values[1:]
    lines = zip(others, mean, sd, verdict, strict=True)
    return "\n".join(f"{item} against {first}: mean {m:.2f}, sd {s:.2f}, {words}" for item, m, s, words in lines)


def of_ours(rows: Rows) -> str:
    """Verdicts that fail, then maximum-likelihood differences against the first item with their reasons."""
    frame = pd.DataFrame(rows, columns=["item_a", "item_b", "outcome"])
    table = bayespref.read_comparisons(frame)
    found = bayespref.check(table)
    lines = [found[name].words for name in found.failed]
    fit = bayespref.maximum_likelihood(table)
    first = fit.isel(state=0, item_other=0)
    for item, gap, reason in zip(first["item"].values, first["difference"].values, first["reason"].values, strict=True):
        if reason:
            lines.append(f"{item} against {first['item_other'].item()}: {gap:g}, {reason}")
    if found.ok or len(lines) < 3:
        lines.append(shown(fit["score"].isel(state=0).to_series().dropna()))
    return "\n".join(lines)


TOOLS: dict[str, Callable[[Rows], str]] = {
    "arenakit": of_arenakit,
    "evalica": of_evalica,
    "choix": of_choix,
    "crowd-kit": of_crowdkit,
    "arviz-stats": of_arviz,
    "bayespref": of_ours,
}


def version(tool: str) -> str:
    """Version installed, or absent."""
    try:
        return importlib.metadata.version(tool)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def main() -> None:
    """Print every tool's answer to every table."""
    print(", ".join(f"{tool} {version(tool)}" for tool in TOOLS))
    for name, rows in (("two blocks", BLOCKS), ("always-winner", ALWAYS), ("llmfao, pooled", crowd())):
        if rows is None:
            print(f"\n{name}: the table is absent; set BAYESPREF_DATA")
            continue
        print(f"\n## {name}: {len(rows):,} comparisons")
        for tool, ask in TOOLS.items():
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                answer = ask(rows) if version(tool) != "absent" else "absent"
            texts = sorted({str(one.message).split("\n")[0] for one in said})
            print(f"{tool}: " + answer.replace("\n", "\n  ") + (f"\n  warns: {'; '.join(texts)}" if texts else ""))


if __name__ == "__main__":
    main()
