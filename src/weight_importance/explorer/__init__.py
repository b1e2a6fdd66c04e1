"""The interactive page that compares any two estimators."""
