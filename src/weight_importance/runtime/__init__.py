"""Infrastructure for all programs: errors, progress, seeds, device. Imports nothing else from the package."""
