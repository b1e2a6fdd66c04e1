"""Explorer page: tables as JSON and densities as bytes, inside one HTML file.

The page fetches nothing: its Content-Security-Policy allows only its own script and style, by checksum, and no
connections. Knows nothing of files; the page's script draws the charts.
"""

import base64
import gzip
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from weight_importance.analysis.correlation import COEFFICIENTS
from weight_importance.analysis.densities import BINS, LEVELS, STEPS_PER_DOUBLING, Density
from weight_importance.figures.labels import COEFFICIENT_LABELS, SCOPE_LABELS, ablation_label, in_ablation_order
from weight_importance.figures.style import ABLATIONS, DASHES, MARKERS, PALETTE, Look, in_order, label, look
from weight_importance.findings.correlation import beyond_null
from weight_importance.findings.pruning import pruning_means
from weight_importance.findings.retention import final_means
from weight_importance.findings.tensors import tensor_order
from weight_importance.settings import Protocol
from weight_importance.settings.ablation_names import is_ablation, parse

SURFACES = {"light": "#ffffff", "dark": "#181b20"}
"""Background colours of charts in both themes, as in the page's style."""

LEAST_CONTRAST = 3.0
"""Lowest contrast of a line with its background (WCAG 2.2, criterion 1.4.11)."""

Shaped = tuple[tuple[int, ...], Density]
MEAN = ["mean", "low", "high", "n"]


def contents(
    settings: Mapping[str, Mapping], tables: Mapping[str, pd.DataFrame], densities: Mapping[str, Mapping[str, Shaped]]
) -> tuple[dict[str, Any], bytes]:
    """All data that the page shows.

    Args:
        settings: study → complete configuration.
        tables: ``correlation``, ``correlation_null``, ``retention``, ``selected_lambda``, ``pruning``, of all studies;
            tables that no study asks for have no rows.
        densities: study that trains networks → tensor → shape in one network (none for ``all``), and densities.

    Returns:
        data for the page's JSON, and the concatenated bytes of all densities; the JSON holds each tensor's offset.
    """
    studies, parts, offset = [], [], 0
    for name, study in settings.items():
        of_study = {key: table[table["study"] == name] for key, table in tables.items()}
        tensors = []
        for tensor, (shape, density) in densities.get(name, {}).items():
            tensors.append(_tensor(tensor, shape, density, offset))
            parts.append(density.content.tobytes())
            offset += len(parts[-1])
        studies.append(_study(name, study, of_study, tensors))
    names = [name for study in studies for name in study["names"]]
    data = {
        "bins": BINS,
        "levels": LEVELS,
        "steps": STEPS_PER_DOUBLING,
        "coefficients": [[name, COEFFICIENT_LABELS[name]] for name in COEFFICIENTS],
        "scopes": [list(scope) for scope in SCOPE_LABELS.items()],
        "looks": {name: looks(name, place) for place, name in enumerate(_ordered([*names, *ABLATIONS]))},
        "studies": studies,
    }
    return data, b"".join(parts)


def _tensor(name: str, shape: Sequence[int], density: Density, offset: int) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(shape),
        "entries": density.entries,
        "few": density.few,
        "ranges": _rounded(density.ranges.tolist()),
        "positive": density.positive.tolist(),
        "shown": density.shown.tolist(),
        "offset": offset,
    }


def _study(
    name: str, settings: Mapping, tables: Mapping[str, pd.DataFrame], tensors: list[dict[str, Any]]
) -> dict[str, Any]:
    retention, pruning = tables["retention"], tables["pruning"]
    kept = [one for one in retention["estimator"].unique() if one not in ABLATIONS]
    estimators = in_order(settings["estimators"])
    selected = tables["selected_lambda"].dropna(subset="lambda")
    return {
        "name": name,
        "text": description(settings),
        "like": settings["networks_of"],
        "tasks": settings["tasks"]["count"],
        "estimators": estimators if tensors else [],
        "names": _ordered({*estimators, *kept} if tensors else kept),
        "tensors": tensors,
        "agreement": _agreement(estimators, tables["correlation"], tables["correlation_null"]),
        "retention": _retention(retention),
        "selected": dict(zip(selected["estimator"], selected["lambda"], strict=True)),
        "criterion": next(iter(selected["criterion"]), None),
        "pruning": _pruning(pruning),
    }


def description(settings: Mapping) -> str:
    """One-sentence description of a study, from its configuration."""
    tasks, retention = settings["tasks"], settings["retention"] or {}
    networks = min(settings["seeds"], retention.get("seeds") or settings["seeds"])
    parts = [
        f"Network {settings['network']}",
        f"{tasks['count']} {tasks['kind']} tasks of {' and '.join(settings['datasets'])}",
        f"{settings['seeds']} network"
        + "s" * (settings["seeds"] > 1)
        + f" ({networks} learn the later tasks)" * (networks < settings["seeds"]),
    ]
    parts += ["the published protocol"] * Protocol(**settings["protocol"]).as_published
    parts += ["the stabilised penalty"] * (retention.get("penalty") == "stabilised")
    parts += ["running statistics frozen"] * (retention.get("batch_norm") == "frozen")
    return ", ".join(parts) + "."


def _agreement(estimators: Sequence[str], correlation: pd.DataFrame, null: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Tensor → coefficient → mean, low, high of each pair, in the order of combinations; central 95 % of the null."""
    if correlation.empty:
        return {}
    means = beyond_null(correlation, null)
    places = {frozenset(pair): place for place, pair in enumerate(combinations(estimators, 2))}
    agreement: dict[str, dict[str, Any]] = {name: {} for name in tensor_order(means["tensor"])}
    for (tensor, coefficient), rows in means.groupby(["tensor", "coefficient"], sort=False):
        pairs: list[list[float | None]] = [[None, None, None]] * len(places)
        for row in rows.itertuples():
            pairs[places[frozenset((row.estimator_a, row.estimator_b))]] = _rounded([row.mean, row.low, row.high], 4)
        null_range = _rounded([rows["null_low"].iloc[0], rows["null_high"].iloc[0]], 4)
        agreement[tensor][coefficient] = {"pairs": pairs, "null": null_range, "n": int(rows["n"].max())}
    return agreement


def _retention(retention: pd.DataFrame) -> dict[str, list[list[float | None]]]:
    """Estimator → rows of λ, mean test accuracy over all tasks, its interval and the number of networks, by λ."""
    if retention.empty:
        return {}
    means = final_means(retention, "test")
    return {
        name: _rounded(rows.sort_values("lambda")[["lambda", *MEAN]].values.tolist())
        for name, rows in means.groupby("estimator", sort=False)
    }


def _pruning(pruning: pd.DataFrame) -> dict[str, dict[str, list[list[float | None]]]]:
    """Scope → criterion → rows of fraction, mean test accuracy, its interval and the number of networks."""
    if pruning.empty:
        return {}
    means = pruning_means(pruning)
    return {
        scope: {
            name: _rounded(rows.sort_values("fraction")[["fraction", *MEAN]].values.tolist())
            for name, rows in scope_means.groupby("criterion", sort=False)
        }
        for scope, scope_means in means.groupby("scope", sort=False)
    }


def _rounded(value: Any, digits: int = 6) -> Any:
    """Round numbers to significant digits, more than the page shows; ``None`` for missing values."""
    if isinstance(value, list):
        return [_rounded(one, digits) for one in value]
    return None if math.isnan(value) else float(f"{value:.{digits}g}")


def _ordered(names: Iterable[str]) -> list[str]:
    """Estimators in the order of their list, then their ablations, then references."""
    names = set(names)
    own = in_order(name for name in names if not is_ablation(name))
    plain = [name for name in own if name not in ABLATIONS]
    return [*plain, *in_ablation_order([name for name in names if is_ablation(name)]), *own[len(plain) :]]


def looks(name: str, place: int) -> dict[str, Any]:
    """Name and look of an estimator or an ablation on the page: as in figures, with enough contrast in both themes.

    Args:
        name: name in the tables.
        place: position of an ablation among all names; figures give ablations no separate colours.
    """
    if is_ablation(name):
        drawn: Look = {
            "color": PALETTE[place % len(PALETTE)],
            "linestyle": DASHES[1],
            "marker": MARKERS[place % len(MARKERS)],
        }
        parts = parse(name)
        estimator = parts.estimators[-1]
        link = "" if parts.label else " in ranks of"
        text = f"{ablation_label(name, estimator)}{link} {label(estimator)}"
    else:
        drawn, text = look(name), label(name)
    dashes = drawn["linestyle"]
    return {
        "label": text,
        "dashes": "" if isinstance(dashes, str) else " ".join(f"{2 * length:g}" for length in dashes[1]),
        "marker": drawn["marker"],
        **{theme: against(drawn["color"], surface) for theme, surface in SURFACES.items()},
    }


def against(colour: str, surface: str) -> str:
    """Mix a colour with the least black or white that gives :data:`LEAST_CONTRAST` on a surface (``#rrggbb``)."""
    end = 0 if _luminance(surface) > 0.5 else 255
    channels = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    for share in range(101):
        mixed = "#" + "".join(f"{round(value + (end - value) * share / 100):02x}" for value in channels)
        if contrast(mixed, surface) >= LEAST_CONTRAST:
            return mixed
    raise ValueError(f"no mixture of {colour} has contrast {LEAST_CONTRAST} on {surface}")


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, from 1 to 21 (WCAG 2.2, definition of contrast ratio)."""
    dark, light = sorted(map(_luminance, (first, second)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    values = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def fill(texts: Mapping[str, str], data: Mapping[str, Any], densities: bytes) -> str:
    """Fill the template of the page with style, script and data.

    Args:
        texts: ``page.html``, the template, with placeholders ``{{name}}``; ``style.css``, ``charts.js``, ``page.js``.
        data, densities: result of :func:`contents`.
    """
    style, script = texts["style.css"], texts["charts.js"] + texts["page.js"]
    inside = {
        "policy": policy(script, style),
        "style": style,
        "script": script,
        # "</" would end the element
        "data": json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("</", r"<\/"),
        "densities": base64.b64encode(gzip.compress(densities, mtime=0)).decode("ascii"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: inside[match[1]], texts["page.html"])


def policy(script: str, style: str) -> str:
    """Content-Security-Policy of the page: only this script and this style, nothing external."""

    def checksum(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")

    return (
        f"default-src 'none'; script-src 'sha256-{checksum(script)}'; style-src 'sha256-{checksum(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
