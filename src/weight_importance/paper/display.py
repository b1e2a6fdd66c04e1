r"""Tables and answers in notebooks: converts the LaTeX strings of the paper's tables to HTML.

Knows the few LaTeX commands that tables use, but not the meaning of the values.
"""

import re
from collections import Counter
from collections.abc import Iterable
from html import escape
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown

from weight_importance import ESTIMATORS
from weight_importance.files.storage import write_text
from weight_importance.paper.latex import booktabs

CARDS = (12, 9)
"""Largest numbers of rows and columns of a table shown as cards on a narrow screen; larger tables scroll sideways."""

NARROW = 4
"""Number of columns that fit on any screen."""

LONG = 20
"""Largest number of characters in the first column that a narrow screen shows on one line."""

MINUS = (r"(?<![\w\u2013])-(?=[\d.])", "−")
"""Hyphen before a negative number, and the minus sign."""

COMMANDS = (
    (r"\\num\{(-?[\d.]+)e\+?(-?)0*(\d+)\}", r"\1 · 10<sup>\2\3</sup>"),
    (r"\\num\{([^{}]*)\}", r"\1"),
    (r"\\texttt\{([^{}]*)\}", r"<code>\1</code>"),
    (r"\\rlap\{(.*)\}", r"\1"),
    (r"\\shortstack\[r\]\{(.*)\}", r"\1"),
    (r"\\textcite\{[^{}]*\}|\\citet\{[^{}]*\}", ""),
    (r"\\\\", "<br>"),
    (r"\^(\\\w+|\S)", r"<sup>\1</sup>"),
    (r"<sup>-", "<sup>−"),
    (r"\$r\$", "<i>r</i>"),
    (r"\$p\$", "<i>p</i>"),
    (r"\\lambda", "λ"),
    (r"\\to\b", "→"),
    (r"\\checkmark", "✓"),
    (r"\\times", "×"),
    (r"\\circ", "○"),
    (r"\\dagger", "†"),
    (r"\\geq", "≥"),
    (r"\\quad ?", "\u2003"),
    (r"\\,", "\u202f"),
    (r"\\([_%&])", r"\1"),
    (r"\$", ""),
    (r"--", "\u2013"),
    MINUS,
)
"""LaTeX patterns and their HTML, in the order of replacement."""


def readable(text: str) -> str:
    """Convert a LaTeX cell to HTML."""
    text = escape(text, quote=False).replace(r"\&amp;", "&amp;")
    for pattern, replacement in COMMANDS:
        text = re.sub(pattern, replacement, text)
    return text


def show_table(
    path: str | Path, *parts: tuple[pd.DataFrame, str], empty: str = "no rows in this configuration"
) -> HTML:
    """Write tables of LaTeX strings to one file, and return them as HTML for a notebook.

    Args:
        path: the file (.tex).
        parts: tables with their column formats, such as ``llr``; the index is omitted.
        empty: text for a table without rows.
    """
    write_text(path, "\n\\medskip\n\n".join(booktabs(frame, columns, empty) for frame, columns in parts))
    return HTML("\n".join(_page(frame, columns, empty) for frame, columns in parts))


def _page(frame: pd.DataFrame, column_format: str, empty: str) -> str:
    if frame.empty:
        return f"<p>{escape(empty[:1].upper() + empty[1:])}.</p>"
    alignments = re.sub(r"p\{[^}]*\}", "l", column_format)
    names = [readable(str(name)) for name in frame.columns]
    plain = [re.sub(r"<br>", " ", name) for name in names]
    plain = [escape(re.sub(r"<[^>]*>", "", name)) for name in plain]
    head = "".join(f'<th class="{side}">{name}</th>' for side, name in zip(alignments, names, strict=True))
    lines = []
    for row in frame.itertuples(index=False):
        first, *others = [readable(str(cell)) for cell in row]
        if not any(others):  # a heading inside the table
            lines.append(f'<tr><th scope="rowgroup" colspan="{len(names)}">{first}</th></tr>')
            continue
        cells = [f'<th scope="row">{first}</th>']
        cells += [
            f'<td class="{side}" data-label="{name}">{f"<span>{cell}</span>" if cell else ""}</td>'
            for side, name, cell in zip(alignments[1:], plain[1:], others, strict=True)
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    kind = "cards" if len(names) > NARROW and len(lines) <= CARDS[0] and len(names) <= CARDS[1] else "plain"
    longest = max(len(re.sub(r"<[^>]*>", "", readable(str(cell)))) for cell in frame.iloc[:, 0])
    kind += " long" if kind == "plain" and longest > LONG else ""
    body = "\n".join(lines)
    return f'<table class="paper {kind}"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>'


def folded(frame: pd.DataFrame, title: str, decimals: int = 3) -> HTML:
    """Long table of values with the display names of estimators, folded under a title."""
    rows = {0: "no rows", 1: "one row"}.get(len(frame), f"{len(frame)} rows")
    values = {value for value in frame.reset_index().to_numpy().ravel() if isinstance(value, str)}
    labels = {name: ESTIMATORS[name].label for name in values if name in ESTIMATORS}
    frame = frame.round(decimals).replace(labels).rename(columns=_words).rename_axis(columns=None)
    named = any(frame.index.names)
    if named:
        frame = frame.rename(index=labels).rename_axis(index=_words)
    table = frame.to_html(index=named, na_rep="-")
    return HTML(f"<details><summary>{escape(title)} ({rows})</summary>{table}</details>")


def _words(name: str | int) -> str:
    """A column's name as words: ``tasks learnt`` for ``tasks_learnt``."""
    return str(name).replace("_", " ")


def answer(*sentences: str) -> Markdown:
    """Key results of the run, the notebook's first output."""
    return Markdown(re.sub(*MINUS, f"> **This run.** {' '.join(sentences)}"))


def counted(outcomes: Iterable[str]) -> str:
    """Count each outcome, the most frequent first: ``3 reproduced, 1 different``."""
    words = ("different" if outcome == "differs" else outcome for outcome in outcomes)
    return ", ".join(f"{count} {word}" for word, count in Counter(words).most_common()) or "no comparison"
