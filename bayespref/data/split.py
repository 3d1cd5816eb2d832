"""Hold out annotators or items, and folds by annotator; rows of one annotator never fall on both sides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from bayespref.checks import one_of
from bayespref.comparisons import Comparisons
from bayespref.display import shown


@shown(next_step="fit on train, judge on test")
class Split(NamedTuple):
    """Rows to fit on, rows to test on, and who or what was held out."""

    train: Comparisons
    test: Comparisons
    held_out: tuple[str, ...]
    """Labels of the annotators or items that occur in ``test`` only."""


def hold_out(comparisons: Comparisons, *, by: str = "annotator", share: float = 0.2, seed: int = 0) -> Split:
    """Hold out a random share of the annotators, or of the items.

    Parameters
    ----------
    comparisons : Comparisons
        The table; labels and codes stay the same on both sides.
    by : {"annotator", "item"}
        ``annotator`` holds out people, stratified by context where the table has one (a person's context is the one
        with most of their weight). ``item`` holds out items: every comparison that involves one is in ``test``.
    share : float
        Share of the annotators (items) to hold out, in (0, 1); rounded, at least one and never all.
    seed : int
        Seed of NumPy's generator. The result depends on labels and seed, not on the row order.

    Returns
    -------
    Split
        ``train``, ``test`` and the labels held out.

    Raises
    ------
    TableError
        If the table names no annotators.
    ValueError
        If ``share`` is not in (0, 1), fewer than two annotators (items) have rows, or no row is left on one side.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(
    ...     np.zeros(6, int), np.ones(6, int), np.zeros(6, int), items=("x", "y"),
    ...     annotator=np.arange(6) // 2, annotators=("ann", "bob", "cy"),
    ... )
    >>> split = hold_out(table, share=1 / 3)
    >>> split.train.n_rows, split.test.n_rows, len(split.held_out)
    (4, 2, 1)
    """
    one_of("by", by, ("annotator", "item"))
    if not 0.0 < share < 1.0:
        raise ValueError(f"share: must lie in (0, 1), got {share!r}")
    rng = np.random.default_rng(seed)
    if by == "annotator":
        codes = comparisons.codes("annotator")
        dealt = _dealt(comparisons, rng)
        size = _size(len(dealt), share, by)
        # Walking through the strata in turn, each person is taken when the running share passes a whole number.
        steps = np.floor((np.arange(len(dealt)) + 1) * size / len(dealt)).astype(np.int64)
        chosen = dealt[np.diff(steps, prepend=0) > 0]
        rows = np.isin(codes, chosen)
    else:
        seen = np.unique(np.concatenate([comparisons.item_a, comparisons.item_b]))
        chosen = rng.permutation(seen)[: _size(len(seen), share, by)]
        rows = np.isin(comparisons.item_a, chosen) | np.isin(comparisons.item_b, chosen)
    if rows.all() or not rows.any():
        raise ValueError(f"share: holding out {len(chosen)} {by}(s) leaves no row on one side; choose another share")
    names = comparisons.labels(by)
    return Split(comparisons.select(~rows), comparisons.select(rows), tuple(names[i] for i in np.sort(chosen)))


def annotator_folds(comparisons: Comparisons, n_folds: int, *, seed: int = 0) -> Int[np.ndarray, " comparison"]:
    """Fold of every row, the same for all rows of one annotator.

    Annotators are shuffled within their context (where the table has contexts) and dealt in turn, so that folds
    differ by at most one annotator overall and by at most one in each context.

    Parameters
    ----------
    comparisons : Comparisons
        The table.
    n_folds : int
        Number of folds, between 2 and the number of annotators with rows.
    seed : int
        Seed of NumPy's generator.

    Returns
    -------
    int array, shape (comparison,)
        Fold, from 0 to ``n_folds - 1``.

    Raises
    ------
    TableError
        If the table names no annotators.
    ValueError
        If ``n_folds`` is below 2 or above the number of annotators with rows.

    Examples
    --------
    >>> import numpy as np
    >>> from bayespref.comparisons import from_codes
    >>> table = from_codes(
    ...     np.zeros(6, int), np.ones(6, int), np.zeros(6, int), items=("x", "y"),
    ...     annotator=np.arange(6) // 2, annotators=("ann", "bob", "cy"),
    ... )
    >>> np.bincount(annotator_folds(table, 3)).tolist()
    [2, 2, 2]
    """
    codes = comparisons.codes("annotator")
    dealt = _dealt(comparisons, np.random.default_rng(seed))
    if not 2 <= n_folds <= len(dealt):
        raise ValueError(f"n_folds: must lie between 2 and {len(dealt)} (annotators with rows), got {n_folds}")
    fold = np.full(comparisons.n_annotators, -1, dtype=np.int32)
    fold[dealt] = np.arange(len(dealt)) % n_folds
    return np.asarray(fold[codes])


def split_folds(comparisons: Comparisons, n_folds: int, *, seed: int = 0) -> tuple[Split, ...]:
    """One :class:`Split` a fold of :func:`annotator_folds`; every row is in exactly one ``test``."""
    codes = comparisons.codes("annotator")
    fold = annotator_folds(comparisons, n_folds, seed=seed)
    names = comparisons.annotators
    return tuple(
        Split(
            comparisons.select(fold != k),
            comparisons.select(fold == k),
            tuple(names[i] for i in np.unique(codes[fold == k])),
        )
        for k in range(n_folds)
    )


def _dealt(comparisons: Comparisons, rng: np.random.Generator) -> NDArray[np.int64]:
    """Annotators with rows, shuffled, then grouped by the context that holds most of their weight."""
    codes = comparisons.codes("annotator")
    order = rng.permutation(np.unique(codes)).astype(np.int64)
    if comparisons.context is None:
        return order
    size = (comparisons.n_annotators, len(comparisons.contexts))
    flat = codes.astype(np.int64) * size[1] + comparisons.context
    mass = np.bincount(flat, weights=comparisons.weight, minlength=size[0] * size[1]).reshape(size)
    return order[np.argsort(mass.argmax(axis=1)[order], kind="stable")]


def _size(total: int, share: float, by: str) -> int:
    if total < 2:
        raise ValueError(f"by: holding out needs at least two {by}s with rows, got {total}")
    return min(max(round(total * share), 1), total - 1)
