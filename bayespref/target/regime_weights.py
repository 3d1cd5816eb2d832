"""Weights that take a table to a declared regime, and what stands in the way."""

from __future__ import annotations

import hashlib

import numpy as np

from bayespref.comparisons import Comparisons
from bayespref.errors import RegimeError
from bayespref.target.importance import Weights, combine, known_ratio, post_stratified, unordered
from bayespref.target.regime import Regime, pair_target, target_shares


def logged_shares(comparisons: Comparisons) -> np.ndarray:
    """Share of comparisons in each (state, context).

    Parameters
    ----------
    comparisons : Comparisons
        A table with a context column.

    Returns
    -------
    array, shape (state, context)

    Examples
    --------
    >>> from bayespref.simulate.scenarios import hh_confounding
    >>> logged_shares(hh_confounding(n_annotators=20).comparisons).shape
    (4, 2)
    """
    cell = comparisons.state.astype(np.int64) * len(comparisons.contexts) + comparisons.codes("context")
    size = comparisons.n_states * len(comparisons.contexts)
    mass = np.bincount(cell, comparisons.weight, minlength=size)
    return np.asarray(mass.reshape(comparisons.n_states, -1) / mass.sum())


def context_target(regime: Regime, comparisons: Comparisons) -> np.ndarray:
    """Return p_T(state, context) of a regime over contexts, in the order of the table.

    Parameters
    ----------
    regime : Regime
        Declared over contexts.
    comparisons : Comparisons
        The table.

    Returns
    -------
    array, shape (state, context)

    Raises
    ------
    RegimeError
        If the regime is over latent types, which rows do not carry.
    TargetMixError
        If declared shares do not sum to one.
    """
    if regime.over != "context":
        raise RegimeError("over: weights need observed contexts; a regime over latent types is met by tilting a fit")
    return target_shares(
        regime, comparisons.states, comparisons.contexts, logged_types=logged_shares(comparisons).sum(axis=0)
    )


def weights_towards(regime: Regime, comparisons: Comparisons) -> Weights:
    """Importance weights from a table to a declared target.

    Two parts: ``prompt and context``, post-stratified on the log's own shares (estimated); and ``pair``, from logged
    propensities (known), where the regime declares pairs.

    Parameters
    ----------
    regime : Regime
        Declared over contexts.
    comparisons : Comparisons
        A table with a context column, and with propensities where the regime declares pairs.

    Returns
    -------
    Weights
        One a row.

    Raises
    ------
    RegimeError
        If the regime is over latent types or names unknown labels.
    TargetMixError
        If declared shares do not sum to one.
    ValueError
        If the target has mass on a cell, or on a pair of a state, without rows (listed), propensities are missing where
        pairs are declared, or a logged row has propensity zero.

    Examples
    --------
    >>> from bayespref.simulate.scenarios import hh_confounding
    >>> from bayespref.target.regime import regime_from
    >>> table = hh_confounding(n_annotators=200).comparisons
    >>> fields = {"name": "even", "version": "1", "reason": "launch", "kind": "product", "beta": 1.0}
    >>> even = {"states": {s: 0.25 for s in table.states}, "types": {c: 0.5 for c in table.contexts}}
    >>> round(float(weights_towards(regime_from(fields | even), table).weight.mean()), 12)
    1.0
    """
    target = context_target(regime, comparisons)
    cell = comparisons.state.astype(np.int64) * len(comparisons.contexts) + comparisons.codes("context")
    labels = [f"({s}, {c})" for s in comparisons.states for c in comparisons.contexts]
    parts = [post_stratified("prompt and context", cell, target.ravel(), labels=labels, count=comparisons.weight)]
    if regime.pairs.kind != "as_logged":
        g = pair_target(regime, comparisons.states, comparisons.items)
        either = regime.pairs.order == "randomised"
        g = unordered(g) if either else g
        _refuse_pairs_without_rows(target.sum(axis=1), g, comparisons, either=either)
        shown = g[comparisons.state, comparisons.item_a, comparisons.item_b]
        parts.append(known_ratio("pair", shown, comparisons.propensity))
    return combine(*parts)


def _refuse_pairs_without_rows(state: np.ndarray, g: np.ndarray, comparisons: Comparisons, *, either: bool) -> None:
    """Refuse target mass on a pair of a state that no row shows: no weight reaches it."""
    seen = np.zeros(g.shape, dtype=np.bool_)
    rows = np.asarray(comparisons.weight) > 0
    x, a, b = (np.asarray(code)[rows] for code in (comparisons.state, comparisons.item_a, comparisons.item_b))
    seen[x, a, b] = True
    if either:
        seen[x, b, a] = True
    mass = state[:, None, None] * g
    empty = (mass > 0) & ~seen
    if either:
        empty = np.triu(empty)  # each pair stands in both of its places
    if empty.any():
        states, items = comparisons.states, comparisons.items
        shown = [f"({states[s]}, {items[i]}, {items[j]})" for s, i, j in np.argwhere(empty)[:20]]
        raise ValueError(
            f"pair: the target puts {mass[empty].sum():.3g} of its mass on {int(empty.sum())} pair(s) without a row "
            f"(no_overlap): {shown}; collect there, or declare a target without them"
        )


def logged_hash(comparisons: Comparisons) -> str:
    """Hash of everything weights are made of: the table and its logged propensities.

    A change of who was asked what, or of g_O, changes it, and asks for the overlap report and the verdict anew.

    Parameters
    ----------
    comparisons : Comparisons
        The table.

    Returns
    -------
    str

    Examples
    --------
    >>> from bayespref.comparisons import from_codes
    >>> rows = np.array([0]), np.array([1]), np.array([0])
    >>> one = from_codes(*rows, items=("x", "y"), propensity=np.array([0.5]))
    >>> other = from_codes(*rows, items=("x", "y"), propensity=np.array([0.25]))
    >>> one.data_hash == other.data_hash, logged_hash(one) == logged_hash(other)
    (True, False)
    """
    digest = hashlib.sha256(comparisons.data_hash.encode())
    if comparisons.propensity is not None:
        # Every code of a row: whose propensity it is decides what it weighs.
        columns = [comparisons.state, comparisons.item_a, comparisons.item_b, comparisons.outcome, comparisons.weight]
        columns += [code for code in (comparisons.context, comparisons.annotator) if code is not None]
        rows = np.stack([np.asarray(column, dtype=np.float64) for column in (*columns, comparisons.propensity)], axis=1)
        digest.update(np.ascontiguousarray(rows[np.lexsort(rows.T)], dtype="<f8").tobytes())
    return "sha256:" + digest.hexdigest()
