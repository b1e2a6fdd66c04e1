"""Training and evaluation: the training loop, the penalty (EWC), retention over tasks, pruning, ablations."""
