"""The road in order: the only modules, beside the command line, that join stages."""

from bayespref.workflow.analysing import analyse
from bayespref.workflow.auditing import audit
from bayespref.workflow.collecting import next_comparisons
from bayespref.workflow.editing import next_edits
from bayespref.workflow.escalating import escalation
from bayespref.workflow.features import feature_policy, feature_scores
from bayespref.workflow.fitting import fit
from bayespref.workflow.refitting import refits
from bayespref.workflow.running import demo, policy, report, run

__all__ = [
    "analyse",
    "audit",
    "demo",
    "escalation",
    "feature_policy",
    "feature_scores",
    "fit",
    "next_comparisons",
    "next_edits",
    "policy",
    "refits",
    "report",
    "run",
]
