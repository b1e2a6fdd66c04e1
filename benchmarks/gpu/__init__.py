"""Checks and measurements on a GPU; ``benchmarks/gpu.sh`` runs them."""
