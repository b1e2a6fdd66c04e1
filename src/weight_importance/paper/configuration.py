"""Macros of the configuration, of versions and of code constants."""

import platform
from collections.abc import Mapping
from importlib.metadata import version

from weight_importance import ESTIMATORS
from weight_importance.files.derivation import Constant, Derived, Package, Setting, derived
from weight_importance.findings import ablations, correlation, reproduction, variants
from weight_importance.findings.published import IMAGES
from weight_importance.paper.latex import escape, listing, number, plain
from weight_importance.paper.macros import PERCENT, Results
from weight_importance.settings import Study

PACKAGES = ("torch", "numpy", "scipy", "pandas", "matplotlib", "snakemake")


def configuration(config: Mapping, prefix: str = "config") -> Results:
    """Every key of the configuration under ``config/``; keys of a study under ``{study}/config/``."""
    results: Results = {}
    study, _, path = prefix.partition("/config")
    for key, value in config.items():
        if prefix == "config" and key == "studies":
            for name, settings in value.items():
                results |= configuration(settings, f"{name}/config")
        elif isinstance(value, Mapping):
            results |= configuration(value, f"{prefix}/{key}")
        else:
            printed = {f"{prefix}/{key}": _setting(value)}
            if isinstance(value, list):
                printed[f"{prefix}/{key}/count"] = plain(len(value))
                if value and all(isinstance(item, int | float) for item in value):
                    printed |= {f"{prefix}/{key}/least": plain(min(value)), f"{prefix}/{key}/most": plain(max(value))}
            parts = prefix.split("/")[1:] if prefix.startswith("config") else ["studies", study, *path.split("/")[1:]]
            results |= derived(printed, Setting(".".join([*parts, key])))
    return results


def _setting(value: object) -> str:
    if isinstance(value, list):
        return listing([_setting(item) for item in value])
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return plain(value)
    if value is None:
        return "all"
    return ESTIMATORS[value].label if isinstance(value, str) and value in ESTIMATORS else escape(str(value))


def versions() -> Results:
    """``version/{package}`` of packages and Python."""
    installed = {name: escape(version(name)) for name in PACKAGES} | {"python": platform.python_version()}
    return {f"version/{name}": Derived(value, (Package(name),)) for name, value in installed.items()}


def constants() -> Results:
    """Code thresholds that the text quotes: ``config/{strong, margin, ablations/margin, tolerance}``."""
    return {
        "config/strong": Derived(number(correlation.STRONG, 1), (Constant(correlation.__name__, "STRONG"),)),
        "config/margin": Derived(plain(reproduction.MARGIN * PERCENT), (Constant(reproduction.__name__, "MARGIN"),)),
        "config/ablations/margin": Derived(
            plain(ablations.MARGIN * PERCENT), (Constant(ablations.__name__, "MARGIN"),)
        ),
        "config/tolerance": Derived(plain(variants.TOLERANCE * PERCENT), (Constant(variants.__name__, "TOLERANCE"),)),
    }


def scale(study: str, settings: Study) -> Results:
    """``scale/reduced`` if a study uses a subset of the images, and ``penalty/clamped`` if it clamps importances."""
    results: Results = {}
    images, retention = settings.images, settings.retention
    fewer = images.training is not None and images.training + images.validation < IMAGES
    if fewer or images.test is not None or (retention is not None and retention.images is not None):
        keys = [f"studies.{study}.{key}" for key in ("images.training", "images.test", "retention.images")]
        results |= derived({"scale/reduced": "yes"}, *map(Setting, keys))
    if retention is not None and retention.clamp_negative:
        results |= derived({"penalty/clamped": "yes"}, Setting(f"studies.{study}.retention.clamp_negative"))
    return results
