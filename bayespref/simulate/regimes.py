"""Worlds where the logged population is not the one a system is built for, or its comparisons confound two features."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from bayespref.checks import between, finite, non_negative
from bayespref.display import shown
from bayespref.simulate.annotate import annotate
from bayespref.simulate.population import Seed
from bayespref.simulate.world import World, stream, symmetric_range, table

# Rewards of the help-or-harm world, four prompt categories by three completions (direct, hedged, refuse), log-odds.
HH_BASE = ((0.5, 0.3, -0.5), (0.0, 0.2, 0.0), (-0.2, 0.3, 0.0), (0.2, 0.4, -0.3))
HH_HELP = ((1.0, 0.6, -1.0), (1.0, 0.3, -0.8), (0.8, 0.4, -0.6), (1.0, 0.5, -1.0))
HH_HARM = ((0.0, 0.2, 0.3), (-1.5, 0.2, 1.0), (-1.2, 0.4, 0.8), (-0.6, 0.6, 0.2))
HH_PROMPTS = ((0.7, 0.1, 0.05, 0.15), (0.05, 0.45, 0.35, 0.15))
"""What each of the two types asks about when nothing else decides it."""


def hh_confounding(
    *,
    alpha: float = 2.0,
    kappa: float = 0.9,
    proxy_flip: float = 0.0,
    n_annotators: int = 2000,
    labels_per_annotator: int = 10,
    pair_prob: ArrayLike | None = None,
    seed: int = 0,
) -> World:
    """Build the help-or-harm world: what people ask about depends on what they want.

    Two equally common types see rewards ``base + alpha * help`` and ``base + alpha * harm`` of three completions in
    four prompt categories; type c asks about category x with probability ``(1 - kappa) / 4 + kappa * t_c(x)``. The
    target population is the even product of types and categories (overlap notes, section 6).

    Parameters
    ----------
    alpha : float
        Strength of what types disagree about, >= 0.
    kappa : float
        How far the type decides the prompts, in [0, 1].
    proxy_flip : float
        Probability that an annotator's context names the other type, in [0, 1].
    n_annotators, labels_per_annotator : int
        Size of the table.
    pair_prob : float array, shape (item, item) or (state, type, item, item), optional
        Probability of each ordered pair; uniform by default.
    seed : int
        Seed.

    Returns
    -------
    World
        The context column holds the proxy; ``annotator_type`` the truth; ``deployment`` is 1/8 in every cell.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    >>> world = hh_confounding(kappa=0.5, n_annotators=10)
    >>> world.prompt_prob[:, 0].tolist(), world.reward.shape
    ([0.475, 0.175, 0.15, 0.2], (4, 2, 3))
    """
    strength = float(finite("alpha", non_negative("alpha", alpha)))
    share = float(between("kappa", kappa, 0.0, 1.0))
    flip = float(between("proxy_flip", proxy_flip, 0.0, 1.0))
    reward = np.array(HH_BASE)[:, None, :] + strength * np.stack([HH_HELP, HH_HARM], axis=1)
    prompt = (1.0 - share) / 4.0 + share * np.array(HH_PROMPTS).T
    weight = np.array([0.5, 0.5])
    rows = annotate(
        reward,
        type_weight=weight,
        prompt_prob=prompt,
        n_annotators=n_annotators,
        labels_per_annotator=labels_per_annotator,
        pair_prob=pair_prob,
        seed=stream(seed, 1),
    )
    wrong = np.random.default_rng(stream(seed, 3)).random(n_annotators) < flip
    proxy = np.where(wrong, 1 - rows.annotator_type, rows.annotator_type)
    settings = {"world": "hh_confounding", "alpha": alpha, "kappa": kappa, "proxy_flip": proxy_flip, "seed": seed}
    joint = prompt * weight
    return World(
        name="hh_confounding",
        description=f"types ask about different prompts (kappa {share:g}) and differ by {strength:g} x help or harm",
        seed=seed,
        comparisons=table(rows, reward.shape, settings, proxy=proxy, items=("direct", "hedged", "refuse")),
        reward=reward,
        type_weight=weight,
        prompt_prob=prompt,
        annotator_type=rows.annotator_type,
        missing=joint == 0,
        component=np.where((joint == 0)[..., None], np.arange(3), 0),
        reward_range=symmetric_range(reward),
        deployment=np.full((4, 2), 1.0 / 8.0),
    )


@shown(next_step="gaussian_fisher and fisher read it")
class FeatureComparisons(NamedTuple):
    """Comparisons of feature vectors, one row each, drawn from a linear reward."""

    difference: Float[np.ndarray, "comparison feature"]
    """Features of the first response minus the second."""
    first_wins: Bool[np.ndarray, " comparison"]
    arm: Int[np.ndarray, " comparison"]
    """Which arm of the design produced the pair: 0 passive, 1 designed."""
    coefficient: Float[np.ndarray, " feature"]
    """True coefficients w: ``P(first wins) = sigmoid(w' difference)``."""
    covariance: Float[np.ndarray, "arm feature feature"]
    """Covariance of the differences in each arm."""


def correlation_sweep(
    rho: float,
    *,
    n: int = 1000,
    coefficient: tuple[float, float] = (1.0, 0.5),
    passive_share: float = 1.0,
    seed: Seed = 0,
) -> FeatureComparisons:
    """Draw comparisons whose two features are correlated, with a designed arm that has the opposite correlation.

    Differences are Gaussian with unit variances and correlation ``rho`` (arm 0) or ``-rho`` (arm 1). At high
    correlation the passive arm hardly says which of the two features people want (overlap notes, section 4).

    Parameters
    ----------
    rho : float
        Correlation in the passive arm, in [-1, 1].
    n : int
        Comparisons, at least 1.
    coefficient : tuple of two floats
        True coefficients, log-odds per unit.
    passive_share : float
        Share of the comparisons from arm 0, in [0, 1]; the number is rounded.
    seed : int
        Seed.

    Returns
    -------
    FeatureComparisons
        Rows of arm 0 first, then arm 1.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    >>> rows = correlation_sweep(0.9, n=10, passive_share=0.5)
    >>> rows.arm.tolist(), rows.covariance[1].tolist()
    ([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], [[1.0, -0.9], [-0.9, 1.0]])
    """
    correlation = float(between("rho", rho, -1.0, 1.0))
    share = float(between("passive_share", passive_share, 0.0, 1.0))
    w = finite("coefficient", coefficient)
    if w.shape != (2,):
        raise ValueError(f"coefficient: must hold two numbers, got shape {w.shape}")
    if n < 1:
        raise ValueError(f"n: must be at least 1, got {n}")
    rng = np.random.default_rng(seed)
    arm = (np.arange(n) >= round(share * n)).astype(np.int64)
    signed = np.where(arm == 0, correlation, -correlation)
    first, fresh = rng.standard_normal((2, n))
    second = signed * first + np.sqrt(1.0 - signed**2) * fresh
    difference = np.stack([first, second], axis=1)
    wins = rng.random(n) < 0.5 * (1.0 + np.tanh(0.5 * difference @ w))
    covariance = np.array([[[1.0, sign * correlation], [sign * correlation, 1.0]] for sign in (1.0, -1.0)])
    return FeatureComparisons(difference, wins, arm, w, covariance)


def telemetry(
    *,
    alpha: float = 0.5,
    kappa: float = 0.6,
    pair_skew: float = 0.5,
    proxy_flip: float = 0.1,
    n_annotators: int = 500,
    labels_per_annotator: int = 10,
    seed: int = 0,
) -> World:
    """Build a service's log: self-selected prompts, a proxy of the type, pairs shown with known probabilities.

    Four states, two even types, four items; rewards ``u(s, a) + v(c, a) / 2 + alpha h(s, c, a)``, each part standard
    normal; type c asks about state s with probability ``(1 - kappa) / 4 + kappa t_c(s)``, ``t_c`` Dirichlet(0.5). The
    platform shows unordered pair {a, b} in state s with probability proportional to ``exp(pair_skew n)``, n standard
    normal, in random order, and logs it (overlap notes, section 7).

    Parameters
    ----------
    alpha : float
        Size of what types disagree about beyond their common half, >= 0.
    kappa : float
        How far the type decides the prompts, in [0, 1]; 1 leaves little overlap.
    pair_skew : float
        How uneven the pairs are shown, >= 0.
    proxy_flip : float
        Probability that an annotator's context names the other type, in [0, 1].
    n_annotators, labels_per_annotator : int
        Size of the table.
    seed : int
        Seed; rewards, prompts and pairs depend on it alone.

    Returns
    -------
    World
        The context column holds the proxy; ``comparisons.propensity`` the logged probability of the unordered pair
        given the state; ``deployment`` is 1/8 in every cell.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    >>> world = telemetry(n_annotators=20)
    >>> world.reward.shape, bool((world.comparisons.propensity > 0).all())
    ((4, 2, 4), True)
    """
    strength = float(finite("alpha", non_negative("alpha", alpha)))
    share = float(between("kappa", kappa, 0.0, 1.0))
    skew = float(finite("pair_skew", non_negative("pair_skew", pair_skew)))
    flip = float(between("proxy_flip", proxy_flip, 0.0, 1.0))
    rng = np.random.default_rng(stream(seed, 0))
    u, v, h = rng.standard_normal((4, 1, 4)), rng.standard_normal((1, 2, 4)), rng.standard_normal((4, 2, 4))
    reward = u + 0.5 * v + strength * h
    prompt = (1.0 - share) / 4.0 + share * rng.dirichlet(np.full(4, 0.5), size=2).T
    raw = np.triu(np.exp(skew * rng.standard_normal((4, 4, 4))), 1)
    pair = raw + np.swapaxes(raw, 1, 2)
    pair /= raw.sum(axis=(1, 2), keepdims=True)
    weight = np.array([0.5, 0.5])
    rows = annotate(
        reward,
        type_weight=weight,
        prompt_prob=prompt,
        n_annotators=n_annotators,
        labels_per_annotator=labels_per_annotator,
        pair_prob=np.repeat(0.5 * pair[:, None], 2, axis=1),
        seed=stream(seed, 1),
    )
    wrong = np.random.default_rng(stream(seed, 3)).random(n_annotators) < flip
    proxy = np.where(wrong, 1 - rows.annotator_type, rows.annotator_type)
    settings = {"world": "telemetry", "alpha": alpha, "kappa": kappa, "pair_skew": pair_skew, "proxy_flip": proxy_flip}
    comparisons = table(rows, reward.shape, {**settings, "seed": seed}, proxy=proxy)
    joint = prompt * weight
    return World(
        name="telemetry",
        description=f"a service's log: prompts by type (kappa {share:g}), pairs with logged probabilities",
        seed=seed,
        comparisons=replace(comparisons, propensity=pair[rows.state, rows.item_a, rows.item_b]),
        reward=reward,
        type_weight=weight,
        prompt_prob=prompt,
        annotator_type=rows.annotator_type,
        missing=joint == 0,
        component=np.where((joint == 0)[..., None], np.arange(4), 0),
        reward_range=symmetric_range(reward),
        deployment=np.full((4, 2), 1.0 / 8.0),
    )


@shown(next_step="discover_traits reads it")
class TraitRows(NamedTuple):
    """Comparisons in several environments with candidate traits, some of which only follow the label."""

    rows: Float[np.ndarray, "comparison trait"]
    """Contribution of each candidate: the annotator's trait times the difference of the two items."""
    label: Float[np.ndarray, " comparison"]
    environment: Int[np.ndarray, " comparison"]
    annotator: Int[np.ndarray, " comparison"]
    names: tuple[str, ...]
    causes: tuple[str, ...]
    """Candidates the label was drawn from."""
    trait: Float[np.ndarray, "annotator trait"]
    """Traits of the annotators: care, brevity."""
    features: Float[np.ndarray, "annotator feature"]
    """What is known of the annotators: region (follows care), age (follows nothing)."""


def trait_environments(
    *, n_annotators: int = 600, labels_per_annotator: int = 10, n_environments: int = 3, seed: int = 0
) -> TraitRows:
    """Draw comparisons whose label has two stable causes and one feature that follows it, differently by environment.

    ``logit P = 1.2 care d_1 + 0.8 brevity d_2`` in every environment, whose item differences have other scales and
    correlations; the third candidate, ``layout``, equals the label (as -1 or 1) times a coefficient of the environment
    plus noise: it predicts well inside each environment and is no cause.

    Parameters
    ----------
    n_annotators, labels_per_annotator : int
        Size of the table; an annotator stays in one environment.
    n_environments : int
        At least 2.
    seed : int
        Seed.

    Returns
    -------
    TraitRows

    Raises
    ------
    ValueError
        If there are fewer than two environments.

    Examples
    --------
    >>> got = trait_environments(n_annotators=30, labels_per_annotator=2)
    >>> got.rows.shape, got.causes
    ((60, 3), ('care', 'brevity'))
    """
    if n_environments < 2:
        raise ValueError(f"n_environments: must be at least 2, got {n_environments}")
    rng = np.random.default_rng(stream(seed, 0))
    trait = 1.0 + 0.5 * rng.standard_normal((n_annotators, 2))
    region = (trait[:, 0] + 0.4 * rng.standard_normal(n_annotators) > 1.0).astype(float)
    features = np.stack([region, rng.normal(45.0, 12.0, n_annotators)], axis=1)
    annotator = np.repeat(np.arange(n_annotators), labels_per_annotator)
    environment = (np.arange(n_annotators) % n_environments)[annotator]
    scale = np.linspace(0.6, 1.4, n_environments)[environment]
    link = np.linspace(-0.6, 0.6, n_environments)[environment]
    first, fresh, noise = rng.standard_normal((3, len(annotator)))
    difference = scale[:, None] * np.stack([first, link * first + np.sqrt(1.0 - link**2) * fresh], axis=1)
    causes = trait[annotator] * difference
    label = (rng.random(len(annotator)) < 0.5 * (1.0 + np.tanh(0.5 * causes @ np.array([1.2, 0.8])))).astype(float)
    layout = np.linspace(1.0, -0.2, n_environments)[environment] * (2.0 * label - 1.0) + noise
    rows = np.concatenate([causes, layout[:, None]], axis=1)
    names = ("care", "brevity", "layout")
    return TraitRows(rows, label, environment, annotator, names, names[:2], trait, features)
