"""Comparison graphs: connectivity, separation, coverage, what to collect."""
