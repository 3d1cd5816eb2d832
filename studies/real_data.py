"""What the studies of real tables share: where the tables are, how facts are recorded, and the figure.

A real table has no known truth. Its studies hold what the package computes against what the documentation of the data
says of them, published or computed with another program. Facts are records with ``fact``, ``group``, ``item`` and
``value``; those called ``score`` are drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

import bayespref
from bayespref.choice import choice_data
from bayespref.comparisons import Comparisons
from bayespref.dims import A_WINS, TIE
from bayespref.fit.density import make_density, responsibilities
from bayespref.fit.em import find_modes
from bayespref.fit.maximum_likelihood import maximum_likelihood
from bayespref.models import MODELS
from bayespref.posterior.statistics import agreement, answer_design
from bayespref.target.fitdpo import pair_wins, tabular_dpo


class TypesFound(NamedTuple):
    """Latent types at the best mode of several starts, the heaviest first.

    Attributes
    ----------
    log_likelihood : float
        Nats.
    weight : array, shape (type,)
        Share of each type.
    values : dict of str to array
        ``reward``, shape (state, type, item), or ``coefficient``, shape (type, feature).
    member : array, shape (unit, type)
        Probability that a person is of a type; a unit is a person.
    """

    log_likelihood: float
    weight: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]
    member: NDArray[np.float64]


def data_folder() -> Path | None:
    """Folder of the data sets: ``BAYESPREF_DATA``, or ``shared/data`` beside the checkout; None where there is none."""
    beside = Path(bayespref.__file__).parents[2] / "shared" / "data"
    for folder in (os.environ.get("BAYESPREF_DATA"), beside):
        if folder and (Path(folder) / "README.md").is_file():
            return Path(folder)
    return None


def unavailable() -> str:
    """Why studies of real data cannot run here; empty where they can."""
    return "" if data_folder() else "the real data sets are not here: set BAYESPREF_DATA to their folder"


def frame(name: str, file: str = "comparisons.csv") -> pd.DataFrame:
    """Read a file of a data set.

    Parameters
    ----------
    name : str
        Folder of the data set.
    file : str
        CSV or Parquet.

    Raises
    ------
    FileNotFoundError
        If the data sets, or this file, are not here.
    """
    folder = data_folder()
    if folder is None:
        raise FileNotFoundError(unavailable())
    path = folder / name / file
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def read(table: pd.DataFrame, **columns: str | None) -> Comparisons:
    """Read rows with a numeric label; ``columns`` names what plays which role, ``rater_id`` being the annotator."""
    return bayespref.read_comparisons(table, adapter="labels", columns={"annotator": "rater_id"} | columns)


def fact(name: str, value: float, *, group: str = "all", item: str = "") -> dict[str, Any]:
    """Record a fact."""
    return {"fact": name, "group": group, "item": item, "value": float(value)}


def scores(score: xr.DataArray | Mapping[str, float], *, group: str = "all") -> list[dict[str, Any]]:
    """Record scores of items; an item without a finite score (never asked about) has none."""
    pairs = zip(score["item"].values, score.values, strict=True) if isinstance(score, xr.DataArray) else score.items()
    return [fact("score", value, group=group, item=str(item)) for item, value in pairs if np.isfinite(value)]


def likelihood_ratio(table: Comparisons, column: str) -> float:
    """Twice the gain in log-likelihood from scores of their own for every label of a column, ties as half wins."""
    apart = float(maximum_likelihood(table, by=(column,))["log_likelihood"].sum())
    return 2.0 * (apart - float(maximum_likelihood(table, by=())["log_likelihood"]))


def intervals(
    table: Comparisons, pairs: Sequence[tuple[str, str]], *, group: str, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Record 95 % limits of differences of scores, over resampled people.

    Parameters
    ----------
    table : Comparisons
        Pooled over states; items without a row are left out.
    pairs : sequence of (str, str)
        First item minus second.
    group : str
        Group of the records.
    resamples, seed : int
        Resamples, and their seed.

    Returns
    -------
    list of dict
        Facts ``lower`` and ``upper``, the item being "first - second"; and in how many resamples some score was not
        finite (an item won or lost everything), which are left out.
    """
    who, people = table.codes("annotator"), table.n_annotators
    present, wins = _wins(table, who, people)
    n = len(present)
    wins = wins[np.isin(np.arange(people), who)].reshape(-1, n * n)
    times = np.random.default_rng(seed).multinomial(len(wins), np.full(len(wins), 1 / len(wins)), size=resamples)
    drawn = tabular_dpo((times @ wins).reshape(resamples, n, n)).score
    finite = np.isfinite(drawn).all(axis=1)
    records = [fact("resamples without finite scores", (~finite).sum(), group=group)]
    for first, second in pairs:
        one, other = present.index(first), present.index(second)
        low, high = np.quantile((drawn[:, one] - drawn[:, other])[finite], [0.025, 0.975])
        name = f"{first} - {second}"
        records += [fact("lower", low, group=group, item=name), fact("upper", high, group=group, item=name)]
    return records


def agree(table: Comparisons, *, by: str = "state", judge: str | None = None) -> float:
    """Share of pairs of answers by different people to the same question that are equal.

    Parameters
    ----------
    table : Comparisons
        A question is a pair of items at one label of ``by``; sides may be swapped.
    by : str
        Column of the table.
    judge : str, optional
        Only pairs of answers of which one is this annotator's.
    """
    swap = table.item_a > table.item_b
    a, b = np.where(swap, table.item_b, table.item_a), np.where(swap, table.item_a, table.item_b)
    answer = np.where(swap & (table.outcome < TIE), 1 - table.outcome, table.outcome)
    who = table.codes("annotator")
    design = answer_design(table.codes(by), a, b, who)
    if judge is not None:
        his = (who[design.shared] == table.annotators.index(judge)).any(axis=1)
        design = design._replace(shared=design.shared[his], couple=design.couple[his])
    return float(agreement(answer, design)[0])


def types(table: Comparisons, model: str, n_types: int, *, starts: int = 4, **options: Any) -> TypesFound:
    """Fit latent types and take the best of several modes.

    Parameters
    ----------
    table : Comparisons
        With annotators: one type each.
    model : str
        A name in ``bayespref.models``.
    n_types, starts : int
        Number of types and of starts.
    **options
        Keyword arguments of the model.

    Returns
    -------
    TypesFound
    """
    with jax.enable_x64(True):
        data, outcome = choice_data(table)
        density = make_density(MODELS[model], data, options | {"n_types": n_types})
        modes = find_modes(density, data, outcome, rng_key=jax.random.key(0), n_starts=starts, progress=False)
        best = jnp.asarray(modes.flat[0])
        values = {name: np.asarray(value) for name, value in density.variables(best, data).items()}
        member = np.asarray(responsibilities(density.unit_log_joint(best, data, outcome)))
    order = np.argsort(-values["type_weight"])
    axes = {"reward": 1, "coefficient": 0}
    values = {name: np.take(values[name], order, axis) for name, axis in axes.items() if name in values} | {
        "type_weight": values["type_weight"][order]
    }
    return TypesFound(float(modes.log_likelihood[0]), values.pop("type_weight"), values, member[:, order])


def penalised(table: Comparisons, ridge: float) -> pd.Series:
    """Scores of the items that occur, states pooled and ties as half wins, with a ridge: finite wherever items meet."""
    present, wins = _wins(table, np.zeros(table.n_rows, dtype=np.int64), 1)
    return pd.Series(tabular_dpo(wins, ridge=ridge).score[0], index=present)


def _wins(table: Comparisons, group: NDArray[np.integer], n_groups: int) -> tuple[list[str], NDArray[np.float64]]:
    """Items that occur, and their wins within groups of rows, ties as half a win for either."""
    present = np.union1d(table.item_a, table.item_b)
    a, b = np.searchsorted(present, table.item_a), np.searchsorted(present, table.item_b)
    label = np.where(table.outcome == A_WINS, 1.0, np.where(table.outcome == TIE, 0.5, 0.0))
    wins = pair_wins(group, a, b, label, n_states=n_groups, n_items=len(present))
    return [table.items[code] for code in present], wins
