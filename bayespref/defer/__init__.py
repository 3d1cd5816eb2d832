"""Deferral: scores, thresholds, calibration, metrics and the policy a system consumes."""
