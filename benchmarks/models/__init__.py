"""Importances of common networks: time, memory and error. ``python benchmarks/models`` measures them."""
