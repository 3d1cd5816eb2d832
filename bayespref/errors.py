"""Exceptions, warnings and reason codes, each with its meaning in words and the next step.

A reason code stands wherever a number would be a guess: the value is NaN (or an infinite bound) and the
code says why. Codes are stable strings; their texts may improve.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Reason(NamedTuple):
    """What a reason code means and what to do next."""

    code: str
    meaning: str
    next_step: str


_REASONS = (
    Reason(
        "no_data",
        "no comparison was observed in this cell, so nothing but the prior speaks about it",
        "collect comparisons in this cell, declare an assumption that carries information into it, or defer",
    ),
    Reason(
        "disconnected",
        "the two items lie in different components of the comparison graph, so no amount of data of this kind "
        "fixes their difference",
        "collect at least one comparison that bridges the components (see suggest_comparisons), or use the bound",
    ),
    Reason(
        "separated",
        "some items always win (or always lose) against the rest, so the estimate without a prior is infinite and "
        "the size of the difference is the prior's",
        "collect comparisons among closer rivals, or read only the sign of the difference",
    ),
    Reason(
        "thin",
        "fewer comparisons than the floor asks for, or a contrast whose standard error exceeds the tolerance",
        "collect more comparisons in this cell",
    ),
    Reason(
        "type_not_identified",
        "the data pin down the mixture of types but not this type's reward",
        "collect several comparisons per annotator, or report bounds that do not depend on the type model",
    ),
    Reason(
        "functional_form_only",
        "identified only through the shape of the choice model: another link function would change the answer",
        "collect several labels per annotator, or read the bounds that are free of the type model",
    ),
    Reason(
        "prior_dominated",
        "the graph connects the items, yet the data shrank the prior's variance by less than a tenth",
        "collect more comparisons, or report how the answer moves with the prior",
    ),
    Reason(
        "model_identified",
        "no comparison identifies this contrast, but the model's structure makes its posterior narrow",
        "say that the structure, not the data, gives this number; test the structure with a few comparisons here",
    ),
    Reason(
        "no_overlap",
        "the weighting or information matrix needs observations where there are none",
        "collect in the listed cells, or change the declared target",
    ),
    Reason(
        "not_converged",
        "the chains disagree or did not move enough for these summaries to be trusted",
        "run longer, or with another seed, and look at the near-tied modes",
    ),
    Reason(
        "approximation_unreliable",
        "the draws come from an approximation whose error is large or was not measured",
        "fit with method='gibbs' or 'nuts' where the table allows",
    ),
    Reason(
        "near_tied_modes",
        "a second mode lies within ten nats of the best: a single-mode posterior understates the uncertainty",
        "fit fewer types, collect more labels per annotator, or report both modes",
    ),
    Reason(
        "model_misfit",
        "tables simulated from the fitted model do not look like the observed one in this respect",
        "change the model as the check suggests, or report which questions the misfit touches",
    ),
    Reason(
        "prior_sensitive",
        "the number moves when the prior is made a little stronger or weaker",
        "state the prior beside the number, refit with half and twice its scale, or collect comparisons there",
    ),
    Reason(
        "range_refuted",
        "the observed differences alone span more than the assumed reward range",
        "widen the range, or declare a link scale",
    ),
    Reason("unseen_state", "the state was not in the table the policy was built from", "defer, and log the state"),
    Reason("unknown_item", "the item was not in the table the policy was built from", "defer, and log the item"),
    Reason(
        "not_offered",
        "the action the policy would take is not among the items on offer",
        "defer, or offer the action",
    ),
    Reason("missing_value", "a value needed for the decision is missing", "defer, and repair the caller"),
    Reason(
        "score_above_threshold",
        "acting could cost more than deferring does",
        "defer, or collect the comparisons that would lower the score",
    ),
    Reason(
        "score_below_threshold",
        "the worst that acting could cost is at most the cost of deferring",
        "act",
    ),
    Reason(
        "below_noise_floor",
        "even the best action disagrees with a single label more often than the requested risk allows",
        "ask for a higher risk level, or for several labels per case",
    ),
    Reason(
        "not_certified",
        "no threshold on the grid could be certified at the requested level with this much calibration data",
        "collect more held-out comparisons, or ask for a weaker guarantee",
    ),
    Reason(
        "uncovered_region",
        "the region has no calibration mass, so no guarantee can hold there",
        "force deferral in this region",
    ),
)

REASONS: dict[str, Reason] = {reason.code: reason for reason in _REASONS}


def explain(code: str) -> str:
    """Say in words what a reason code means and what to do next.

    Parameters
    ----------
    code : str
        One of the codes in ``REASONS``.

    Returns
    -------
    str
        Meaning and next step, one sentence each.

    Raises
    ------
    ValueError
        If the code is not a known reason code.

    Examples
    --------
    >>> explain("no_data").split(",")[0]
    'no_data: no comparison was observed in this cell'
    """
    if code not in REASONS:
        raise ValueError(f"code: unknown reason code {code!r}; known codes are {sorted(REASONS)}")
    reason = REASONS[code]
    return f"{code}: {reason.meaning}. Next: {reason.next_step}."


class TableError(ValueError):
    """A table of comparisons breaks a rule; the message names column, rule, first bad rows and counts."""


class ModelError(ValueError):
    """A model cannot be fitted to these data (missing features, unsupported outcome, too few annotators)."""


class FitFileError(ValueError):
    """A saved fit is truncated, edited or of another version."""


class PolicyFileError(ValueError):
    """A policy file is truncated, edited, of another version, or contradicts itself."""


class RegimeError(ValueError):
    """A declared target population breaks a rule, or does not fit the table."""


class RangeRefutedError(ValueError):
    """Observed differences within one component span more than the assumed reward range.

    Attributes
    ----------
    cell : tuple
        Index of the refuting cell (draw, state, type) as far as known.
    span : float
        Largest within-component span found, log-odds.
    reward_range : float
        The assumed range R, log-odds.
    """

    def __init__(self, cell: tuple[Any, ...], span: float, reward_range: float) -> None:
        self.cell = cell
        self.span = span
        self.reward_range = reward_range
        super().__init__(
            f"reward_range: the range {reward_range:g} log-odds is refuted in cell {cell}: items of one component "
            f"differ by {span:.6g} there. Declare a range of at least {span:.6g}, or range_policy='widen'."
        )


class InfeasibleRestrictionError(ValueError):
    """No reward table satisfies the data and the declared restrictions together.

    Attributes
    ----------
    constraints : tuple of str
        The constraints that clash (a negative cycle, or the rows of an infeasible program).
    share_of_draws : float
        Share of posterior draws for which they clash.
    """

    def __init__(self, constraints: tuple[str, ...], share_of_draws: float = 1.0) -> None:
        self.constraints = constraints
        self.share_of_draws = share_of_draws
        super().__init__(
            f"restrictions clash in {share_of_draws:.1%} of draws; the constraints that cannot hold together: "
            + "; ".join(constraints)
        )


class GammaTooSmallError(ValueError):
    """The declared sensitivity Gamma is below the least value the data allow.

    Attributes
    ----------
    gamma_min : float
        Smallest Gamma at which some reward table fits all cells.
    """

    def __init__(self, gamma: float, gamma_min: float) -> None:
        self.gamma_min = gamma_min
        super().__init__(f"gamma: {gamma:g} is refuted by the data, which need at least {gamma_min:.6f}")


class InfeasibleMixtureError(ValueError):
    """A choice probability lies outside what any mixture inside the reward range can produce."""


class TargetMixError(ValueError):
    """A declared distribution is not one: negative, NaN, or not summing to one."""


class LabelAlignmentError(ValueError):
    """Per-type results were asked of draws whose type labels are not aligned."""


class UncoveredRegionError(ValueError):
    """A guarantee was asked for a region without calibration data and without forced deferral."""


class CalibrationLeakError(ValueError):
    """Calibration data share annotators or comparisons with the data the model was fitted on."""


class FunctionalFormOnly(UserWarning):
    """The quantity is identified only through the shape of the choice model."""


class DroppedDraws(UserWarning):
    """Draws that refute an assumption were left out; the share is in the message."""


class NotSharp(UserWarning):
    """The bound is valid but may be wider than the identified set; the reason is in the message."""


class EffectModification(UserWarning):
    """Types differ in what they prefer: weighted DPO then does not target the tilt of the averaged reward."""
