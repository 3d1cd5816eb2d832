"""Local identifiability of latent types from label patterns: the rank of the Jacobian of everything observable.

Labels of one rater are independent given the rater's type. All that a table can ever show about a rater who answers L
questions are the probabilities of the 2^L answer patterns; parameters that move none of them are not identified. Full
rank means locally identified, never globally: labels of types may be swapped, and other solutions may lie elsewhere.
Sources: Allman, Matias and Rhodes (2009) for J different items, binomial mixtures for repeats of one pair.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike, NDArray

from bayespref.bounds.label_design import LabelDesign
from bayespref.checks import finite, simplex
from bayespref.display import shown
from bayespref.errors import FunctionalFormOnly

RANK_TOLERANCE = 1e-7
"""Singular values below this share of the largest count as zero."""
_ROW_SPACE_TOLERANCE = 1e-6

Functional = Callable[[Any, Any], Any]


@shown(
    "rank {rank}, parameters left open: {deficit}",
    next_step="read identified quantities only; ask several questions of each annotator to lift the rank",
)
@dataclass(frozen=True)
class LocalIdentifiability:
    """Rank of the observable pattern probabilities, at random points and at the draws supplied.

    ``point`` runs over the supplied draws, or over the random points when none were supplied.

    Attributes
    ----------
    parameter_names : tuple of str
        Coordinates, in the order of null vectors: shares (share), then log-odds.
    generic_rank : int
        Largest rank over the random points: the rank almost everywhere.
    generic_deficit : int
        Parameters minus generic rank; 0 means generically locally identified.
    rank, deficit : Int[ndarray, " point"]
        Rank at each point (relative tolerance 1e-7), and parameters minus rank.
    condition_number : Float[ndarray, " point"]
        Largest over smallest singular value; infinite where the rank is deficient.
    fisher_min_eigenvalue : Float[ndarray, " point"]
        Smallest eigenvalue of one average rater's Fisher information in these coordinates.
    null_vectors : tuple of Float[ndarray, "deficit parameter"]
        For each point, orthonormal directions that move no observable probability.
    functional_identified : dict of str to Bool[ndarray, " point"]
        Whether the gradient of each functional lies in the row space.
    functional_standard_error : dict of str to Float[ndarray, " point"]
        Its standard error from one rater (divide by sqrt(n)); infinite where not identified.
    functional_form_only : bool
        Full generic rank from one label a rater with several types: the link function alone identifies.
    reason : str
        "" (locally identified), "type_not_identified" or "functional_form_only".
    """

    parameter_names: tuple[str, ...]
    generic_rank: int
    generic_deficit: int
    rank: Int[np.ndarray, " point"]
    deficit: Int[np.ndarray, " point"]
    condition_number: Float[np.ndarray, " point"]
    fisher_min_eigenvalue: Float[np.ndarray, " point"]
    null_vectors: tuple[Float[np.ndarray, "deficit parameter"], ...]
    functional_identified: dict[str, Bool[np.ndarray, " point"]]
    functional_standard_error: dict[str, Float[np.ndarray, " point"]]
    functional_form_only: bool
    reason: str


def local_identifiability(
    design: LabelDesign,
    theta: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    functionals: Mapping[str, Functional] | None = None,
    n_random: int = 5,
    seed: int = 0,
) -> LocalIdentifiability:
    """Rank of the Jacobian of all observable pattern probabilities, in 64-bit whatever the global JAX setting.

    Parameters
    ----------
    design : LabelDesign
        Questions, patterns and number of types.
    theta : (mix, values), optional
        Draws at which to check: mix ``(*draw, K)``, and values ``(*draw, K, A)`` rewards (Bradley-Terry, any gauge) or
        ``(*draw, K, Q)`` log-odds. Draw axes are flattened.
    functionals : mapping of name to callable, optional
        Each maps ``(mix[K], values[K, A or Q])`` to a number with JAX operations; for Bradley-Terry it must depend on
        reward differences only, and item 0 is passed as 0.
    n_random : int
        Random points for the generic rank, at least 5.
    seed : int
        Seed of the random points.

    Returns
    -------
    LocalIdentifiability
        Ranks, conditioning, null directions and what they mean for each functional.

    Raises
    ------
    ValueError
        If ``n_random`` is below 5, or ``theta`` does not match the design.
    TargetMixError
        If a mix is not a distribution.

    Warns
    -----
    FunctionalFormOnly
        Full rank from one label a rater.

    Notes
    -----
    Counting parameters is not enough: three types and four items give 15 free cells for 14 parameters, yet rank 13.
    Equal types and zero shares are singular points of full-rank designs.

    Examples
    --------
    >>> from bayespref.bounds.label_design import items_design
    >>> result = local_identifiability(items_design(2, 2))
    >>> result.generic_rank, len(result.parameter_names), result.reason
    (3, 5, 'type_not_identified')
    """
    if n_random < 5:
        raise ValueError(f"n_random: at least 5 random points show the generic rank, got {n_random}")
    names = design.parameter_names
    random_points = _random_points(design, n_random, seed)
    points = random_points if theta is None else _coordinates(design, *theta)
    checks = dict(functionals or {})
    jacobian, weight, gradients = _derivatives(design, points, checks)
    generic = jacobian if theta is None else _derivatives(design, random_points, {})[0]
    generic_rank = int(_rank(np.linalg.svd(_compressed(generic), compute_uv=False)).max())

    _, singular, right = np.linalg.svd(_compressed(jacobian), full_matrices=True)
    singular = np.pad(singular, [(0, 0), (0, len(names) - singular.shape[-1])])
    rank = _rank(singular)
    with np.errstate(divide="ignore", invalid="ignore"):
        condition = np.where(rank == len(names), singular[:, 0] / singular[:, -1], np.inf)
    _, fisher_root, fisher_right = np.linalg.svd(_compressed(jacobian * weight[..., None]), full_matrices=True)
    fisher_root = np.pad(fisher_root, [(0, 0), (0, len(names) - fisher_root.shape[-1])])
    identified, error = {}, {}
    for name, gradient in gradients.items():
        within = np.arange(len(names)) < rank[:, None]
        along = np.einsum("nij,nj->ni", right, gradient)
        outside = np.linalg.norm(np.where(within, 0.0, along), axis=-1)
        identified[name] = outside <= _ROW_SPACE_TOLERANCE * np.linalg.norm(gradient, axis=-1)
        along = np.einsum("nij,nj->ni", fisher_right, gradient)
        scaled = np.where(within, along / np.where(within, fisher_root, 1.0), 0.0)
        error[name] = np.where(identified[name], np.linalg.norm(scaled, axis=-1), np.inf)

    deficit = len(names) - generic_rank
    form_only = deficit == 0 and design.n_types > 1 and all(len(pattern) == 1 for pattern in design.patterns)
    if form_only:
        warnings.warn(
            "with one label a rater the types are identified only through the shape of the choice model",
            FunctionalFormOnly,
            stacklevel=2,
        )
    return LocalIdentifiability(
        parameter_names=names,
        generic_rank=generic_rank,
        generic_deficit=deficit,
        rank=rank,
        deficit=len(names) - rank,
        condition_number=condition,
        fisher_min_eigenvalue=fisher_root[:, -1] ** 2,
        null_vectors=tuple(right[i, r:] for i, r in enumerate(rank)),
        functional_identified=identified,
        functional_standard_error=error,
        functional_form_only=form_only,
        reason="type_not_identified" if deficit else "functional_form_only" if form_only else "",
    )


def _compressed(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Triangle with the same singular values and right vectors, where there are more patterns than parameters."""
    return np.asarray(np.linalg.qr(rows, mode="r")) if rows.shape[-2] > rows.shape[-1] else rows


def _rank(singular: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.asarray((singular > RANK_TOLERANCE * singular[:, :1]).sum(axis=-1))


def _random_points(design: LabelDesign, n_random: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    mix = rng.dirichlet(np.full(design.n_types, 5.0), n_random)
    n_free = len(design.parameter_names) - (design.n_types - 1)
    return np.concatenate([mix[:, :-1], rng.normal(scale=1.5, size=(n_random, n_free))], axis=1)


def _coordinates(design: LabelDesign, mix: ArrayLike, values: ArrayLike) -> NDArray[np.float64]:
    shares, levels = simplex("theta mix", mix), finite("theta values", values)
    expected = (*shares.shape, design.n_values)
    if shares.shape[-1] != design.n_types or levels.shape != expected:
        raise ValueError(
            f"theta: the design has {design.n_types} types and {design.n_values} values a type, so mix must be "
            f"(*draw, {design.n_types}) and values (*draw, {design.n_types}, {design.n_values}); got {shares.shape} "
            f"and {levels.shape}"
        )
    if design.pairs is not None:
        levels = levels[..., 1:] - levels[..., :1]
    shares = shares.reshape(-1, design.n_types)
    return np.concatenate([shares[:, :-1], levels.reshape(len(shares), -1)], axis=1)


def _derivatives(
    design: LabelDesign, points: NDArray[np.float64], functionals: Mapping[str, Functional]
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Jacobian of pattern probabilities, square roots of the Fisher row weights, gradients of the functionals."""
    import jax
    import jax.numpy as jnp

    n_types = design.n_types
    shares = np.full(len(design.patterns), 1.0 / len(design.patterns)) if design.shares is None else design.shares
    by_length = _patterns_by_length(design, np.asarray(shares))

    def unpack(point: Any) -> tuple[Any, Any]:
        head = point[: n_types - 1]
        mix = jnp.concatenate([head, 1.0 - head.sum(keepdims=True)])
        values = point[n_types - 1 :].reshape(n_types, -1)
        if design.pairs is not None:
            values = jnp.concatenate([jnp.zeros((n_types, 1), values.dtype), values], axis=1)
        return mix, values

    def probabilities(point: Any) -> Any:
        mix, values = unpack(point)
        if design.pairs is not None:
            pairs = np.asarray(design.pairs)
            values = values[:, pairs[:, 0]] - values[:, pairs[:, 1]]
        prefer = jax.nn.sigmoid(values)
        rows = []
        for questions, _ in by_length:
            cells = jnp.ones((n_types, len(questions), 1), prefer.dtype)
            for column in questions.T:
                label = prefer[:, column, None]
                cells = jnp.concatenate([cells * (1.0 - label), cells * label], axis=-1)
            rows.append(jnp.einsum("c,cgy->gy", mix, cells).ravel())
        return jnp.concatenate(rows)

    with jax.enable_x64(True):
        where = jnp.asarray(points, dtype=jnp.float64)
        cells = np.asarray(jax.jit(jax.vmap(probabilities))(where))
        jacobian = np.asarray(jax.jit(jax.vmap(jax.jacfwd(probabilities)))(where))
        gradients = {
            name: np.asarray(jax.vmap(jax.grad(lambda point, g=g: g(*unpack(point))))(where))
            for name, g in functionals.items()
        }
    share = np.concatenate([np.repeat(part, 2 ** questions.shape[1]) for questions, part in by_length])
    with np.errstate(divide="ignore"):
        weight = np.where(cells > 0, np.sqrt(share / np.where(cells > 0, cells, 1.0)), 0.0)
    return jacobian, weight, gradients


def _patterns_by_length(
    design: LabelDesign, shares: NDArray[np.float64]
) -> Sequence[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    groups = []
    for length in sorted({len(pattern) for pattern in design.patterns}):
        chosen = [i for i, pattern in enumerate(design.patterns) if len(pattern) == length]
        groups.append((np.asarray([design.patterns[i] for i in chosen], dtype=np.intp), shares[chosen]))
    return groups
