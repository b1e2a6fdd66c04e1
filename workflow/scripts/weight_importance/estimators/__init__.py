"""Importance estimators: the moments engine, path recorders, state readings, and the catalogue of named estimators."""
