"""Overlap design: which comparisons to collect, what they cost, and a certificate that no others do better."""
