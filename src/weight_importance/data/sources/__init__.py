"""Places to get a data set from, every one of which gives nothing but what passes ``content.read_checked``.

They are tried in turn by :func:`weight_importance.data.catalogue.fetch`; one that cannot give a data set says why in a
``SourceError``.
"""
