"""Sources of data sets; each returns only content that ``content.read_checked`` accepts.

:func:`weight_importance.data.catalogue.fetch` tries them in order; a failing source raises a ``SourceError``.
"""
