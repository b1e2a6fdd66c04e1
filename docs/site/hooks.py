"""What MkDocs runs on every page: references of docstrings, such as ``:func:`estimate```, become plain code."""

import re

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?([^<]*)</code>")


def on_post_page(output: str, **_: object) -> str:
    """The page without the names of roles."""
    return ROLE.sub(r"<code>\1</code>", output)
