"""Data sets and the sequences of tasks made from them. Knows nothing of networks."""
