"""Worlds of linear rewards whose sources of comparisons differ: by bucket, or by prompt slice, evaluator and factor.

Rewards are ``w' z`` in features of the responses; the labels compare two responses by the difference of their features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit
from scipy.stats import special_ortho_group

from bayespref.checks import at_least, between, finite, non_negative
from bayespref.simulate.population import Seed
from bayespref.simulate.world import stream


class BucketRows(NamedTuple):
    """Comparisons of three features in buckets, each with covariances, coefficients and a number of labels of its own.

    Attributes
    ----------
    difference : float array, shape (comparison, feature)
        Feature differences, first side minus second.
    first_wins : bool array, shape (comparison,)
        Labels.
    bucket : int array, shape (comparison,)
        Bucket of each comparison.
    coefficient : float array, shape (bucket, feature)
        True coefficients, log-odds per unit.
    covariance : float array, shape (bucket, feature, feature)
        Covariance of the differences.
    """

    difference: Float[np.ndarray, "comparison feature"]
    first_wins: Bool[np.ndarray, " comparison"]
    bucket: Int[np.ndarray, " comparison"]
    coefficient: Float[np.ndarray, "bucket feature"]
    covariance: Float[np.ndarray, "bucket feature feature"]


def uneven_buckets(
    n_buckets: int = 8,
    *,
    labels: tuple[int, int] = (200, 2000),
    least_variance: float = 0.005,
    shared: bool = False,
    omitted: float = 0.0,
    seed: int = 0,
) -> BucketRows:
    """Draw buckets some of which hardly vary in one direction.

    Differences are Gaussian with variances 1, 1 and v in random directions, v log-uniform between ``least_variance``
    and 1; numbers of labels are log-uniform. Labels follow ``logit P = w'dz + omitted * o``, where ``o = b'dz`` plus
    standard normal noise is a feature nobody recorded and b a standard normal vector of the bucket.

    Parameters
    ----------
    n_buckets : int
        Buckets, at least 1.
    labels : tuple of two ints
        Smallest and largest number of labels of a bucket.
    least_variance : float
        Smallest variance, in (0, 1].
    shared : bool
        All buckets have the same coefficients.
    omitted : float
        Weight of the feature nobody recorded, >= 0, log-odds.
    seed : int
        Seed.

    Returns
    -------
    BucketRows
        Coefficients are standard normal.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    >>> rows = uneven_buckets(2, labels=(5, 5))
    >>> rows.bucket.tolist(), np.linalg.eigvalsh(rows.covariance[0])[1:].round(6).tolist()
    ([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], [1.0, 1.0])
    """
    at_least("n_buckets", n_buckets, 1)
    low, high = labels
    if not 1 <= low <= high:
        raise ValueError(f"labels: must be two numbers with 1 <= low <= high, got {labels}")
    if not 0 < least_variance <= 1:
        raise ValueError(f"least_variance: must lie in (0, 1], got {least_variance}")
    weight = float(finite("omitted", non_negative("omitted", omitted)))
    rng = np.random.default_rng(stream(seed, 0))
    turn = special_ortho_group.rvs(3, size=n_buckets, random_state=rng).reshape(n_buckets, 3, 3)
    variance = np.ones((n_buckets, 3))
    variance[:, 2] = np.exp(rng.uniform(np.log(least_variance), 0.0, size=n_buckets))
    n = np.round(np.exp(rng.uniform(np.log(low), np.log(high), size=n_buckets))).astype(np.int64)
    coefficient = rng.standard_normal((1 if shared else n_buckets, 3)) + np.zeros((n_buckets, 1))
    follows = rng.standard_normal((n_buckets, 3))
    bucket = np.repeat(np.arange(n_buckets), n)
    root = turn * np.sqrt(variance)[:, None, :]
    difference = np.einsum("nij,nj->ni", root[bucket], rng.standard_normal((len(bucket), 3)))
    unseen = (follows[bucket] * difference).sum(axis=1) + rng.standard_normal(len(bucket))
    margin = (coefficient[bucket] * difference).sum(axis=1) + weight * unseen
    wins = rng.random(len(bucket)) < expit(margin)
    return BucketRows(difference, wins, bucket, coefficient, root @ np.swapaxes(root, 1, 2))


class ShiftWorld(NamedTuple):
    """A linear reward over two features whose coefficients depend on prompt slice and evaluator.

    Attributes
    ----------
    coefficient : float array, shape (8,)
        Of the features times (1, second slice, third slice, second evaluator), log-odds: what a model has to learn.
    of_cell : float array, shape (slice, evaluator, feature)
        Coefficients of each cell. The third evaluator, whom no source reaches, adds a part of her own.
    source : int array, shape (source, 3)
        Slice, evaluator and sign of the correlation (0 positive, 1 negative) of each source of comparisons.
    design : float array, shape (source, 8, 8)
        Covariance of the model's feature differences in each source.
    passive : float array, shape (source,)
        Shares of the sources when nobody designs: one slice, one evaluator, positive correlation.
    correlation : float
        Correlation of the two features, up to its sign.
    """

    coefficient: Float[np.ndarray, " parameter"]
    of_cell: Float[np.ndarray, "slice evaluator feature"]
    source: Int[np.ndarray, "source 3"]
    design: Float[np.ndarray, "source parameter parameter"]
    passive: Float[np.ndarray, " source"]
    correlation: float


def shift_world(*, correlation: float = 0.95, rare: float = 0.03, seed: int = 0) -> ShiftWorld:
    """Draw a world with three prompt slices, two evaluators who can be asked and one who cannot.

    Passive comparisons come from the first slice and the first evaluator, save for ``rare`` in each other slice and for
    the second evaluator, and always with features of positive correlation. Base coefficients are standard normal; what
    a slice or an evaluator adds has standard deviation .7.

    Parameters
    ----------
    correlation : float
        Correlation of the two features in passive comparisons, in [0, 1).
    rare : float
        Passive share of each rare slice, and of the second evaluator, in (0, 1/3).
    seed : int
        Seed.

    Returns
    -------
    ShiftWorld

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    >>> world = shift_world()
    >>> world.source.shape, float(world.passive.sum().round(12)), int(np.count_nonzero(world.passive))
    ((12, 3), 1.0, 6)
    """
    rho = float(between("correlation", correlation, 0.0, 1.0 - 1e-9))
    share = float(between("rare", rare, 1e-9, 1.0 / 3.0))
    rng = np.random.default_rng(stream(seed, 0))
    part = rng.standard_normal((5, 2)) * np.array([1.0, 0.7, 0.7, 0.7, 0.7])[:, None]  # the last: third evaluator
    source = np.stack(np.meshgrid(range(3), range(2), range(2), indexing="ij"), axis=-1).reshape(-1, 3)
    context = contexts(source[:, 0], source[:, 1])
    correlations = np.array([[[1.0, sign * rho], [sign * rho, 1.0]] for sign in (1.0, -1.0)])
    outer = context[:, :, None] * context[:, None, :]
    design = np.einsum("kij,kab->kiajb", outer, correlations[source[:, 2]]).reshape(-1, 8, 8)
    slices, evaluators = np.array([1.0 - 2.0 * share, share, share]), np.array([1.0 - share, share])
    passive = slices[source[:, 0]] * evaluators[source[:, 1]] * (source[:, 2] == 0)
    added = np.stack([np.zeros(2), part[3], part[4]])
    of_cell = part[0] + np.concatenate([np.zeros((1, 2)), part[1:3]])[:, None, :] + added
    return ShiftWorld(part[:4].reshape(8), of_cell, source, design, passive, rho)


def contexts(slices: Int[np.ndarray, " n"], evaluator: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 4"]:
    """Columns (1, second slice, third slice, second evaluator) that the features of a comparison are multiplied by.

    Examples
    --------
    >>> contexts(np.array([0, 2]), np.array([1, 0])).tolist()
    [[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]]
    """
    columns = [np.ones(len(slices)), slices == 1, slices == 2, evaluator == 1]
    return np.stack(columns, axis=1).astype(np.float64)


def shift_comparisons(
    world: ShiftWorld, counts: Int[np.ndarray, " source"], *, seed: Seed
) -> tuple[Float[np.ndarray, "comparison parameter"], Bool[np.ndarray, " comparison"]]:
    """Draw this many comparisons from each source: the model's feature differences, and whether the first side won.

    Examples
    --------
    >>> rows, wins = shift_comparisons(shift_world(), np.full(12, 2), seed=0)
    >>> rows.shape, wins.shape
    ((24, 8), (24,))
    """
    rng = np.random.default_rng(seed)
    from_source = np.repeat(np.arange(len(world.source)), counts)
    slices, evaluator, negative = world.source[from_source].T
    z = correlated(np.where(negative == 1, -world.correlation, world.correlation), rng)
    rows = (contexts(slices, evaluator)[:, :, None] * z[:, None, :]).reshape(len(z), -1)
    return rows, rng.random(len(rows)) < expit((world.of_cell[slices, evaluator] * z).sum(axis=1))


def correlated(correlation: Float[np.ndarray, "*lead"], rng: np.random.Generator) -> Float[np.ndarray, "*lead 2"]:
    """Draw pairs of standard normal features with these correlations.

    Examples
    --------
    >>> pair = correlated(np.array([1.0, -1.0]), np.random.default_rng(0))
    >>> bool(pair[0, 0] == pair[0, 1]), bool(pair[1, 0] == -pair[1, 1])
    (True, True)
    """
    first, fresh = rng.standard_normal((2, *correlation.shape))
    return np.stack([first, correlation * first + np.sqrt(1.0 - correlation**2) * fresh], axis=-1)
