"""Task sequences: one module per kind, each with ``sequences(settings, plain, count, seeds)``."""
