"""Networks that learn: the training loop, the penalty (EWC), retention over tasks, evaluation, pruning, ablations."""
