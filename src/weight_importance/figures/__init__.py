"""Drawing: every function takes tidy frames and returns a matplotlib Figure at its final size in print.

One module per notebook, so that an edit to one figure redraws no other notebook's. Knows nothing of files but
:func:`weight_importance.figures.style.save`; what is drawn is computed in ``statistics``, ``findings`` and ``factors``.
"""
