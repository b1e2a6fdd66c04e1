"""Infrastructure of every program: errors, progress, seeds, the device. Imports nothing of the package."""
