"""Compare models by annotators they were not fitted on, and choose the number of types."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int
from tqdm.auto import tqdm

import bayespref
from bayespref.checks import at_least
from bayespref.choice import ChoiceData, choice_data
from bayespref.comparisons import Comparisons
from bayespref.data.split import annotator_folds
from bayespref.dims import ANNOTATOR
from bayespref.errors import ModelError
from bayespref.fit.density import Density, make_density
from bayespref.fit.em import em_climb
from bayespref.posterior.elpd import compare_elpd, simplest_within
from bayespref.workflow.fitting import model_options, resolve_model

_RECORD_BLOCK = 2048
_TOLERANCE = 0.1
_MOST_STEPS = 500
METHOD = (
    "held-out annotators, {folds} folds: log-likelihood of each person's labels (types summed out) at the posterior "
    "mode of the other folds; an approximation, the posterior's spread is left out"
)


class _Program(NamedTuple):
    """Compiled pieces of one model at one set of shapes."""

    density: Density
    climb: Callable[[Array, ChoiceData, Array], tuple[Array, Array]]
    log_likelihood: Callable[[Array, ChoiceData, Array], Array]


def held_out_elpd(
    model: str | Callable[..., Any],
    comparisons: Comparisons,
    *,
    options: Mapping[str, Any] | None = None,
    n_folds: int = 5,
    n_starts: int = 3,
    seed: int = 0,
    progress: bool = True,
) -> xr.Dataset:
    """Predict every annotator from a fit to the annotators of the other folds.

    Parameters
    ----------
    model : str or callable
        A name in ``bayespref.models.MODELS``, or a NumPyro function built from the pieces in ``bayespref.choice``.
    comparisons : Comparisons
        The table; it must name annotators.
    options : mapping, optional
        Keyword arguments of the model.
    n_folds : int
        Folds, by annotator, stratified by context.
    n_starts : int
        EM starts a fold; the highest log-posterior of the training annotators wins.
    seed : int
        Seeds folds and starts.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``elpd`` and ``fold`` by annotator (those with rows), nats; scalars ``elpd_total`` and ``elpd_se``. attrs say
        the method and that it is an approximation.

    Raises
    ------
    TableError
        If the table names no annotators.
    ModelError
        If the model is unknown, an option is not one of its arguments, or types are observed.

    Examples
    --------
    >>> from bayespref.simulate.scenarios import blind_spot
    >>> table = blind_spot(seed=1, n_annotators=40).comparisons.pool("context")
    >>> held_out_elpd("single", table, progress=False).sizes["annotator"]
    40
    """
    values, fold = _held_out(model, comparisons, options, n_folds, n_starts, seed, progress)
    people = np.unique(comparisons.counts.annotator)
    return xr.Dataset(
        {
            "elpd": (ANNOTATOR, values),
            "fold": (ANNOTATOR, fold),
            "elpd_total": values.sum(),
            "elpd_se": np.sqrt(len(values)) * values.std(ddof=1),
        },
        coords={ANNOTATOR: [comparisons.annotators[i] for i in people]},
        attrs={
            "method": METHOD.format(folds=n_folds),
            "model": resolve_model(model)[1],
            "units": "nats",
            "seed": seed,
            "version": bayespref.__version__,
        },
    )


def choose_types(
    comparisons: Comparisons,
    candidates: Sequence[int] = (1, 2, 3, 4, 5),
    *,
    model: str | Callable[..., Any] = "latent_types",
    options: Mapping[str, Any] | None = None,
    n_folds: int = 5,
    n_starts: int = 3,
    seed: int = 0,
    progress: bool = True,
) -> xr.Dataset:
    """Choose the number of types by held-out annotators.

    The rule: the smallest number of types whose predictive density is at most one standard error (of the difference)
    below the best. A mixture with more types than there are also predicts well: the rule does not pay for such types.

    Parameters
    ----------
    comparisons : Comparisons
        The table; it must name annotators.
    candidates : sequence of int
        Numbers of types to try, increasing.
    model : str or callable
        A model with the option ``n_types``.
    options : mapping, optional
        Its other keyword arguments.
    n_folds, n_starts, seed, progress
        As in :func:`held_out_elpd`; all candidates share the folds.

    Returns
    -------
    xarray.Dataset
        By ``n_types``: ``elpd``, ``se``, ``difference`` to the best and its ``difference_se`` (nats), and
        ``probability_best``, the share of Bayesian-bootstrap replicates over annotators in which it is best; by
        annotator ``pointwise``; the scalars ``chosen`` and ``best``. attrs: ``rule``, ``method``, ``words``.

    Raises
    ------
    TableError
        If the table names no annotators.
    ModelError
        If the candidates are not increasing, or the model has no option ``n_types``.

    Examples
    --------
    >>> from bayespref.simulate.scenarios import blind_spot
    >>> table = blind_spot(seed=1, n_annotators=40).comparisons.pool("context")
    >>> int(choose_types(table, (1, 2), progress=False)["chosen"])
    2
    """
    numbers = [at_least("candidates", k, 1) for k in candidates]
    if not numbers or numbers != sorted(set(numbers)):
        raise ModelError(f"candidates: must be increasing numbers of types, got {list(candidates)}")
    if "n_types" in dict(options or {}):
        raise ModelError("options: n_types is what is chosen here; name the numbers in candidates")
    rows = [
        _held_out(model, comparisons, {**dict(options or {}), "n_types": k}, n_folds, n_starts, seed, progress)[0]
        for k in numbers
    ]
    pointwise = np.stack(rows)
    found = compare_elpd(pointwise, seed=seed)
    chosen = numbers[simplest_within(found.difference, found.difference_se)]
    best = numbers[found.best]
    people = np.unique(comparisons.counts.annotator)
    by = "n_types"
    return xr.Dataset(
        {
            "elpd": (by, found.elpd),
            "se": (by, found.se),
            "difference": (by, found.difference),
            "difference_se": (by, found.difference_se),
            "probability_best": (by, found.probability_best),
            "pointwise": ((by, ANNOTATOR), pointwise),
            "chosen": chosen,
            "best": best,
        },
        coords={by: numbers, ANNOTATOR: [comparisons.annotators[i] for i in people]},
        attrs={
            "method": METHOD.format(folds=n_folds),
            "rule": "the fewest types within one standard error of the highest held-out predictive density",
            "words": _choice_words(numbers, chosen, best, found.probability_best),
            "units": "nats",
            "seed": seed,
            "version": bayespref.__version__,
        },
    )


def _choice_words(numbers: list[int], chosen: int, best: int, probability: Float[np.ndarray, " model"]) -> str:
    """Say what was chosen, how sure, and whether the candidates ran out."""
    words = f"types: {chosen} chosen of {numbers}; highest held-out density at {best} "
    words += f"(best in {probability[numbers.index(best)]:.0%} of bootstrap replicates over annotators)"
    if chosen == numbers[-1] and len(numbers) > 1:
        words += ". The largest candidate was chosen: more types may predict better still, try more, or a trait"
    return words


def _held_out(
    model: str | Callable[..., Any],
    comparisons: Comparisons,
    options: Mapping[str, Any] | None,
    n_folds: int,
    n_starts: int,
    seed: int,
    progress: bool,
) -> tuple[Float[np.ndarray, " annotator"], Int[np.ndarray, " annotator"]]:
    """Log predictive density and fold of every annotator with comparisons, in the order of their codes."""
    at_least("n_starts", n_starts, 1)
    function, name = resolve_model(model)
    chosen = model_options(function, name, comparisons, options)
    if chosen.get("types_observed"):
        raise ModelError("types_observed: with observed types a unit is no annotator; pool the context first")
    kept = comparisons.select(comparisons.weight > 0)
    by_row = annotator_folds(kept, n_folds, seed=seed)
    people, first = np.unique(kept.codes("annotator"), return_index=True)
    fold = by_row[first]
    with jax.enable_x64(True):
        data, outcome = _padded(*choice_data(comparisons))
        program = _program(function, json.dumps(chosen, sort_keys=True), *_signature(data))
        n_classes = jax.eval_shape(program.density.tables, jnp.zeros(program.density.size), data)[0].shape[0]
        starts = n_starts if n_classes > 1 else 1
        values = np.empty(len(people))
        for k in tqdm(range(n_folds), desc=f"held-out annotators ({name})", disable=not progress, leave=False):
            train = replace(data, multiplicity=jnp.asarray(np.where(fold == k, 0.0, 1.0)))
            keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), k), starts)
            flat, _ = max((program.climb(key, train, outcome) for key in keys), key=lambda end: float(end[1]))
            values[fold == k] = np.asarray(program.log_likelihood(flat, data, outcome))[fold == k]
    return values, np.asarray(fold)


def _padded(data: ChoiceData, outcome: Int[Array, " record"]) -> tuple[ChoiceData, Int[Array, " record"]]:
    """Add records that count nothing, up to a whole number of blocks, so that tables share compiled programs."""
    extra = -int(data.unit.shape[0]) % _RECORD_BLOCK

    def more(values: Array, fill: float) -> Array:
        return jnp.concatenate([values, jnp.full(extra, fill, dtype=values.dtype)])

    filled = replace(
        data, unit=more(data.unit, data.n_units - 1), question=more(data.question, 0), count=more(data.count, 0)
    )
    return filled, more(outcome, 0)


def _signature(data: ChoiceData) -> tuple[Any, tuple[tuple[tuple[int, ...], Any], ...]]:
    """What compiled programs depend on: the structure of the data and the shapes of its arrays."""
    leaves, structure = jax.tree.flatten(data)
    return structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)


@lru_cache(maxsize=16)
def _program(
    function: Callable[..., Any], options: str, structure: Any, shapes: tuple[tuple[tuple[int, ...], Any], ...]
) -> _Program:
    """Trace and compile a model once for all tables of these shapes."""
    template: ChoiceData = jax.tree.unflatten(structure, [jnp.zeros(shape, dtype) for shape, dtype in shapes])
    density = make_density(function, template, json.loads(options))
    climb = em_climb(density, template, max_steps=_MOST_STEPS, tolerance=_TOLERANCE)

    @jax.jit
    def log_likelihood(flat: Array, data: ChoiceData, outcome: Array) -> Array:
        return jax.scipy.special.logsumexp(density.unit_log_joint(flat, data, outcome), axis=1)

    return _Program(density, climb, log_likelihood)
