"""Values and tables as LaTeX (booktabs, siunitx). Knows nothing of files or the meaning of values."""

import math
from collections.abc import Iterable, Mapping

import pandas as pd


def rounded(value: float, decimals: int) -> str | None:
    """Round a value to a number of decimals, without a negative zero; ``None`` if undefined."""
    if not math.isfinite(value):
        return None
    text = f"{value:.{decimals}f}"
    return text if float(text) else text.lstrip("-")


def number(value: float, decimals: int) -> str:
    r"""A value as ``\num{0.97}``; an en dash if undefined."""
    text = rounded(value, decimals)
    return "--" if text is None else rf"\num{{{text}}}"


def p_value(value: float) -> str:
    r"""A p value with three decimals, ``$<$\num{0.001}`` if smaller; an en dash if undefined."""
    return r"$<$\num{0.001}" if value < 0.001 else number(value, 3)


def plain(value: float) -> str:
    r"""A setting (λ, learning rate, count) with all its digits."""
    return rf"\num{{{value:.12g}}}"


def with_interval(row: Mapping[str, float], decimals: int, scale: float = 1.0) -> str:
    r"""Mean and half-width of the interval in units of the last digit, rounded up: ``\num{0.974(3)}``.

    Args:
        row: with ``mean``, ``low``, ``high``.
        decimals: digits after the point.
        scale: factor on all three.
    """
    mean, half = row["mean"] * scale, (row["high"] - row["low"]) / 2 * scale
    if not math.isfinite(mean) or not math.isfinite(half):
        return number(mean, decimals)
    units = math.ceil(round(half * 10**decimals, 9))
    return rf"\num{{{rounded(mean, decimals)}({units})}}"


def with_bounds(row: Mapping[str, float], decimals: int) -> str:
    r"""Mean and both ends of a possibly asymmetric interval: ``\num{0.97} [\num{0.91}, \num{1.08}]``.

    Args:
        row: with ``mean``, ``low``, ``high``; the ends of an unbounded interval are omitted.
        decimals: digits after the point.
    """
    mean, low, high = (number(row[name], decimals) for name in ("mean", "low", "high"))
    if not (math.isfinite(row["low"]) and math.isfinite(row["high"])):
        return mean
    return f"{mean} [{low}, {high}]"


def listing(items: Iterable[str], nothing: str = "none") -> str:
    """Join items as in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    items = list(items)
    if not items:
        return nothing
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def escape(text: str) -> str:
    """Escape LaTeX special characters in names of tensors and files."""
    return text.replace("_", r"\_").replace("%", r"\%").replace("&", r"\&")


def booktabs(frame: pd.DataFrame, column_format: str, empty: str = "no rows in this configuration") -> str:
    """Format a table of LaTeX strings as a ``tabular`` with booktabs rules, without the index."""
    if frame.empty:
        row = rf"\multicolumn{{{len(frame.columns)}}}{{c}}{{{empty}}}"
        return f"\\begin{{tabular}}{{{column_format}}}\n\\toprule\n{row} \\\\\n\\bottomrule\n\\end{{tabular}}\n"
    return frame.style.hide(axis="index").to_latex(hrules=True, column_format=column_format)
