"""Measurements of ``make benchmark`` and their reports. Imports the library; the library never imports this package."""
