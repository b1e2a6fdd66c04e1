"""Comparisons of importances in memory: correlation, factors, noise. Knows nothing of files."""
