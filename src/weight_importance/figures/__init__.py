"""Figures: every function takes tidy frames and returns a matplotlib Figure at its final size in print.

One module per topic, so that an edit of one figure redraws only the notebook of its topic. Knows nothing of files but
:func:`weight_importance.figures.style.save`; the numbers come from ``findings``.
"""
