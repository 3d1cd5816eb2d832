"""Exceptions and warnings; and, from ``reasons``, the reason codes with their meaning in words and the next step."""

from __future__ import annotations

from typing import Any

from bayespref.reasons import REASONS as REASONS
from bayespref.reasons import explain as explain


class TableError(ValueError):
    """A table of comparisons breaks a rule; the message names column, rule, first bad rows and counts."""


class ModelError(ValueError):
    """A model cannot be fitted to these data (missing features, unsupported outcome, too few annotators)."""


class FitFileError(ValueError):
    """A saved fit is truncated, edited or of another version."""


class PolicyFileError(ValueError):
    """A policy file is truncated, edited, of another version, or contradicts itself."""


class ArtefactError(ValueError):
    """A file is nothing that the package writes, or is damaged beyond checking."""


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
