"""The road in order: the only modules, beside the command line, that join stages."""

from bayespref.workflow.analysing import analyse
from bayespref.workflow.auditing import audit
from bayespref.workflow.bundling import bundle
from bayespref.workflow.collecting import next_comparisons
from bayespref.workflow.describing import croissant, dataset_card
from bayespref.workflow.describing_fit import model_card
from bayespref.workflow.editing import next_edits
from bayespref.workflow.escalating import escalation
from bayespref.workflow.features import feature_policy, feature_scores
from bayespref.workflow.fitting import fit
from bayespref.workflow.refitting import refits
from bayespref.workflow.running import demo, policy, report, run
from bayespref.workflow.verifying import verify

__all__ = [
    "analyse",
    "audit",
    "bundle",
    "croissant",
    "dataset_card",
    "demo",
    "escalation",
    "feature_policy",
    "feature_scores",
    "fit",
    "model_card",
    "next_comparisons",
    "next_edits",
    "policy",
    "refits",
    "report",
    "run",
    "verify",
]
