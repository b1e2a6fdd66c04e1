"""Importances of networks that people use: time, memory and error. ``python benchmarks/models`` measures them."""
