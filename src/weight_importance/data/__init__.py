"""Data sets and task sequences built from them. Knows nothing of networks."""
