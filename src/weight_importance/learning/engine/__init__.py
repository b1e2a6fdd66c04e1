"""How a stack of replicas is trained fast: memory layout, gradients, Adam. Changes no result."""
