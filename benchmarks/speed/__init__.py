"""What ``make benchmark`` measures, and how it is written down. Knows the library; the library knows nothing of it."""
