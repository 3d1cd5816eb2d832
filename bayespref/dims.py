"""Names of every dimension, and the axis order every array follows.

The names appear in DataTrees, in plates and in jaxtyping shape strings. Axes are ordered
``(chain, draw, environment, context, state, type, ..., item, item_other)``: draws first, strata next, items last.
Array functions accept any number of leading axes in place of ``chain, draw``.
"""

from __future__ import annotations

CHAIN = "chain"
DRAW = "draw"
COMPARISON = "comparison"
ANNOTATOR = "annotator"
STATE = "state"
CONTEXT = "context"
ENVIRONMENT = "environment"
TYPE = "type"
TRAIT = "trait"
ITEM = "item"
ITEM_OTHER = "item_other"
FEATURE = "feature"

OUTCOMES = ("a", "b", "tie", "both_bad")
"""Outcome labels; the position in this tuple is the integer code used in every array."""
A_WINS, B_WINS, TIE, BOTH_BAD = range(4)

VARIABLE_DIMS: dict[str, tuple[str, ...]] = {
    "reward": (STATE, TYPE, ITEM),
    "type_weight": (TYPE,),
    "prompt_prob": (TYPE, STATE),
    "coefficient": (TYPE, FEATURE),
    "log_tie": (),
    "log_both_bad": (),
    "tie_threshold": (),
    "position_effect": (),
    "type_decisiveness": (TYPE,),
    "decisiveness_spread": (),
    "shared": (STATE, ITEM),
    "by_type": (TYPE, ITEM),
    "interaction": (STATE, TYPE, ITEM),
    "scale_shared": (),
    "scale_by_type": (),
    "scale_interaction": (),
    "loading": (TRAIT, STATE, ITEM),
    "type_weight_by_context": (CONTEXT, TYPE),
    "type_weight_by_environment": (ENVIRONMENT, TYPE),
    "prompt_prob_by_environment": (ENVIRONMENT, TYPE, STATE),
}
"""Dimensions of every model variable that reaches a posterior tree; a name means one thing in all models."""
