"""Importance estimators: the catalogue, and the engine that computes them for any network."""
