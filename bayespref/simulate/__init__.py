"""Populations, annotators and named worlds with known truth."""
