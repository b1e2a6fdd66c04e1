"""Figures: every function takes tidy frames and returns a matplotlib Figure at its final print size.

One module per topic, so that editing a figure redraws only that topic's notebook. Knows nothing of files except
:func:`weight_importance.figures.style.save`; the numbers come from ``findings``.
"""
