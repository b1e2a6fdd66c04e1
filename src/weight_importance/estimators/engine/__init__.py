"""Per-sample moments of gradients: closed forms per layer, with a general fallback. Knows no estimator by name."""
