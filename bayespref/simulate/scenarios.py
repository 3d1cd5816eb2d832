"""Named worlds with known truth, some broken on purpose, each with the comparisons drawn from it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from bayespref.checks import between
from bayespref.dims import A_WINS, B_WINS
from bayespref.simulate.annotate import annotate
from bayespref.simulate.population import independent_reward, pooled_reward, prompts_with_holes
from bayespref.simulate.regimes import correlation_sweep as correlation_sweep
from bayespref.simulate.regimes import hh_confounding as hh_confounding
from bayespref.simulate.regimes import telemetry as telemetry
from bayespref.simulate.regimes import trait_environments as trait_environments
from bayespref.simulate.world import World as World
from bayespref.simulate.world import stream, symmetric_range, table

BLIND_SPOT_CELLS = ((1, 0), (2, 1))
"""(state, type) cells of the blind-spot world that are never, or hardly ever, asked about."""


def blind_spot(
    *,
    eps: float = 0.0,
    n_annotators: int = 500,
    labels_per_annotator: int = 40,
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0),
    deployment_on_missing: float = 0.25,
    seed: int = 0,
) -> World:
    """Build the headline world: two (state, type) cells out of eight are never asked about.

    Four states, two equally common types, four actions; rewards ``u(s, a) + v(c, a) + h(s, c, a)``, each part
    standard normal; cells (1, 0) and (2, 1) have joint mass ``eps`` each and the rest is even; all six pairs are
    equally likely, in random order. Rewards depend on ``seed`` only, not on ``eps`` or the number of labels.

    Parameters
    ----------
    eps : float
        Mass of each missing cell, share of all comparisons, in [0, 0.5]; 1/8 is full coverage.
    n_annotators, labels_per_annotator : int
        Size of the table: 500 x 40 = 20,000 comparisons.
    scale : tuple of three floats
        Standard deviations of u, v, h. ``(1, 1, 0)`` is a world without interaction.
    deployment_on_missing : float
        Deployment mass of the two missing cells together, spread evenly; 0.25 makes deployment even, 1 puts all of it
        on the blind spot.
    seed : int
        Seed.

    Returns
    -------
    World
        Reward range (-6, 6), or the next wider integer where a true reward falls outside (about 2 seeds in 100).

    Raises
    ------
    ValueError
        If ``eps`` or ``deployment_on_missing`` is outside its range.

    Examples
    --------
    >>> world = blind_spot(n_annotators=20, labels_per_annotator=10)
    >>> world.comparisons.n_rows, world.missing.sum(), world.prompt_prob[1].round(2).tolist()
    (200, np.int64(2), [0.0, 0.33])
    """
    delta = float(between("deployment_on_missing", deployment_on_missing, 0.0, 1.0))
    between("eps", eps, 0.0, 0.5)
    missing = np.zeros((4, 2), dtype=bool)
    for cell in BLIND_SPOT_CELLS:
        missing[cell] = True
    weight = np.array([0.5, 0.5])
    prompt = prompts_with_holes(missing, weight, eps=eps)
    reward = pooled_reward(4, 2, 4, scale=scale, seed=stream(seed, 0)).total
    rows = annotate(
        reward,
        type_weight=weight,
        prompt_prob=prompt,
        n_annotators=n_annotators,
        labels_per_annotator=labels_per_annotator,
        seed=stream(seed, 1),
    )
    component = np.zeros(reward.shape, dtype=np.int64)
    component[prompt == 0] = np.arange(4)
    return World(
        name="blind_spot",
        description=f"4 states x 2 types x 4 actions; cells (1, 0) and (2, 1) have mass {eps:g} each",
        seed=seed,
        comparisons=table(rows, reward.shape, {"world": "blind_spot", "eps": eps, "seed": seed}),
        reward=reward,
        type_weight=weight,
        prompt_prob=prompt,
        annotator_type=rows.annotator_type,
        missing=missing,
        component=component,
        reward_range=symmetric_range(reward),
        deployment=np.where(missing, delta / missing.sum(), (1.0 - delta) / (~missing).sum()),
    )


def two_blocks(
    *,
    block_sizes: tuple[int, ...] = (3, 3),
    n_annotators: int = 20,
    labels_per_annotator: int = 30,
    scale: float = 1.0,
    seed: int = 0,
) -> World:
    """Build a world whose items fall into blocks that are never compared with each other.

    One state, one type. Within a block all pairs are equally likely; blocks get labels in proportion to their pairs.
    No amount of such data fixes a contrast across blocks.

    Parameters
    ----------
    block_sizes : tuple of int
        Items per block, each at least 2, at least two blocks.
    n_annotators, labels_per_annotator : int
        Size of the table.
    scale : float
        Standard deviation of rewards, log-odds.
    seed : int
        Seed.

    Returns
    -------
    World
        ``component`` holds the blocks.

    Raises
    ------
    ValueError
        If a block has fewer than two items or there are fewer than two blocks.

    Examples
    --------
    >>> world = two_blocks(n_annotators=5, labels_per_annotator=10)
    >>> block = world.component[0, 0]
    >>> bool(np.all(block[world.comparisons.item_a] == block[world.comparisons.item_b]))
    True
    """
    sizes = np.asarray(block_sizes)
    if sizes.ndim != 1 or len(sizes) < 2 or (sizes < 2).any():
        raise ValueError(f"block_sizes: at least two blocks of at least two items each, got {block_sizes}")
    block = np.repeat(np.arange(len(sizes)), sizes)
    allowed = (block[:, None] == block[None, :]) & ~np.eye(len(block), dtype=bool)
    reward = independent_reward(1, 1, len(block), scale=scale, seed=stream(seed, 0))
    return _single(
        "two_blocks",
        f"{len(sizes)} blocks of {', '.join(map(str, sizes))} items, never compared across blocks",
        reward,
        allowed / allowed.sum(),
        block,
        n_annotators,
        labels_per_annotator,
        seed,
        winner=None,
    )


def always_winner(
    *,
    n_items: int = 4,
    gap: float = 3.0,
    n_annotators: int = 20,
    labels_per_annotator: int = 20,
    scale: float = 0.5,
    seed: int = 0,
) -> World:
    """Build a world in which item 0 won every comparison it was in.

    The truth is finite: item 0 lies ``gap`` above the mean of the others. The sample is drawn given that item 0 never
    lost (labels are independent, so its rows are wins and the others are untouched). An estimate without a prior is
    infinite; how large item 0's lead looks is the prior's doing.

    Parameters
    ----------
    n_items : int
        Items, at least 3, so that the others can be estimated.
    gap : float
        Lead of item 0 over the mean of the others, log-odds, finite.
    n_annotators, labels_per_annotator : int
        Size of the table.
    scale : float
        Standard deviation of the other items' rewards, log-odds.
    seed : int
        Seed.

    Returns
    -------
    World
        One state, one type, one component.

    Raises
    ------
    ValueError
        If there are fewer than three items or ``gap`` is not finite.

    Examples
    --------
    >>> table = always_winner(n_annotators=5, labels_per_annotator=10).comparisons
    >>> winner = np.where(table.outcome == 0, table.item_a, table.item_b)
    >>> bool(np.all(winner[(table.item_a == 0) | (table.item_b == 0)] == 0))
    True
    """
    if n_items < 3:
        raise ValueError(f"n_items: must be at least 3, got {n_items}")
    if not np.isfinite(gap):
        raise ValueError(f"gap: must be finite, got {gap}")
    rest = independent_reward(1, 1, n_items - 1, scale=scale, seed=stream(seed, 0))
    reward = np.concatenate([np.full((1, 1, 1), float(gap)), rest], axis=-1)
    reward = reward - reward.mean(axis=-1, keepdims=True)
    return _single(
        "always_winner",
        "item 0 won every comparison it was in, so its estimate without a prior is infinite",
        reward,
        None,
        np.zeros(n_items, dtype=np.int64),
        n_annotators,
        labels_per_annotator,
        seed,
        winner=0,
    )


def recovery(
    *,
    n_annotators: int = 300,
    labels_per_annotator: int = 30,
    n_states: int = 4,
    n_items: int = 10,
    n_types: int = 3,
    scale: float = 1.0,
    tie: float = 0.0,
    seed: int = 0,
) -> World:
    """Build a world drawn from the latent-type model's own prior, for parameter recovery.

    Rewards are independent N(0, scale^2) in a sum-to-zero basis per (state, type), type weights Dirichlet(5), prompts
    p(state | type) Dirichlet(1), all pairs equally likely. Types are numbered by falling weight.

    Parameters
    ----------
    n_annotators, labels_per_annotator, n_states, n_items, n_types : int
        Sizes.
    scale : float
        Standard deviation of rewards along each basis direction, log-odds.
    tie : float
        Davidson's tie parameter; 0 for no ties.
    seed : int
        Seed.

    Returns
    -------
    World
        ``missing`` is False everywhere; deployment is the collection's own P(state, type).

    Raises
    ------
    ValueError
        If a size is below 1 (2 for items).

    Examples
    --------
    >>> world = recovery(n_annotators=10, labels_per_annotator=5, seed=3)
    >>> world.reward.shape, bool(np.all(np.diff(world.type_weight) <= 0))
    ((4, 3, 10), True)
    """
    reward = independent_reward(n_states, n_types, n_items, scale=scale, seed=stream(seed, 0))
    rng = np.random.default_rng(stream(seed, 2))
    weight = np.sort(rng.dirichlet(np.full(n_types, 5.0)))[::-1].copy()
    prompt = rng.dirichlet(np.ones(n_states), size=n_types).T.copy()
    rows = annotate(
        reward,
        type_weight=weight,
        prompt_prob=prompt,
        n_annotators=n_annotators,
        labels_per_annotator=labels_per_annotator,
        tie=tie,
        seed=stream(seed, 1),
    )
    return World(
        name="recovery",
        description=f"{n_types} types, {n_states} states, {n_items} items from the latent-type prior",
        seed=seed,
        comparisons=table(rows, reward.shape, {"world": "recovery", "seed": seed}),
        reward=reward,
        type_weight=weight,
        prompt_prob=prompt,
        annotator_type=rows.annotator_type,
        missing=np.zeros((n_states, n_types), dtype=bool),
        component=np.zeros(reward.shape, dtype=np.int64),
        reward_range=symmetric_range(reward),
        deployment=prompt * weight,
    )


def _single(
    name: str,
    description: str,
    reward: Float[np.ndarray, "state type item"],
    pair_prob: Float[np.ndarray, "item item_other"] | None,
    component: Int[np.ndarray, " item"],
    n_annotators: int,
    labels_per_annotator: int,
    seed: int,
    *,
    winner: int | None,
) -> World:
    """Build a world of one state and one type; ``winner`` is given every comparison it was in."""
    one = np.ones((1, 1))
    rows = annotate(
        reward,
        type_weight=one[0],
        prompt_prob=one,
        n_annotators=n_annotators,
        labels_per_annotator=labels_per_annotator,
        pair_prob=pair_prob,
        seed=stream(seed, 1),
    )
    if winner is not None:
        forced = np.where(rows.item_a == winner, A_WINS, np.where(rows.item_b == winner, B_WINS, rows.outcome))
        rows = rows._replace(outcome=forced)
    return World(
        name=name,
        description=description,
        seed=seed,
        comparisons=table(rows, reward.shape, {"world": name, "seed": seed}),
        reward=reward,
        type_weight=one[0].copy(),
        prompt_prob=one.copy(),
        annotator_type=rows.annotator_type,
        missing=np.zeros((1, 1), dtype=bool),
        component=np.asarray(component, dtype=np.int64).reshape(1, 1, -1).copy(),
        reward_range=symmetric_range(reward),
        deployment=one.copy(),
    )
