"""Fast training of a stack of replicas: memory layout, gradients, Adam. Changes no result."""
