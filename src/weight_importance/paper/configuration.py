"""Macros of the configuration, of versions and of code constants."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from inspect import signature
from typing import Any

from weight_importance import ESTIMATORS
from weight_importance.files.derivation import Constant, Derived, Package, Setting, derived
from weight_importance.findings import ablations, correlation, reproduction, variants
from weight_importance.findings.published import IMAGES, SETUPS
from weight_importance.learning.networks import ACTIVATIONS, NETWORKS
from weight_importance.paper.latex import escape, listing, number, plain
from weight_importance.paper.macros import PERCENT, Results
from weight_importance.settings import FullyConnected, Study

ACTIVATION_LABELS = {"relu": "ReLU", "leaky_relu": r"leaky ReLU (slope \num{0.01})", "tanh": r"$\tanh$"}

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
    """Scale of a study.

    ``scale/reduced`` if it uses a subset of the images; ``scale/later/{networks, images}``, the networks that learn the
    later tasks and the largest number of training images of each; ``penalty/clamped`` if it clamps importances.
    """
    results: Results = {}
    images, retention = settings.images, settings.retention
    fewer = images.training is not None and images.training + images.validation < IMAGES
    if fewer or images.test is not None or (retention is not None and retention.images is not None):
        keys = [f"studies.{study}.{key}" for key in ("images.training", "images.test", "retention.images")]
        results |= derived({"scale/reduced": "yes"}, *map(Setting, keys))
    if retention is not None:
        networks = settings.seeds if retention.seeds is None else retention.seeds
        keys = [f"studies.{study}.{key}" for key in ("seeds", "retention.seeds")]
        results |= derived({"scale/later/networks": plain(networks)}, *map(Setting, keys))
        limits = [limit for limit in (images.training, retention.images) if limit is not None]
        keys = [f"studies.{study}.{key}" for key in ("images.training", "retention.images")]
        results |= derived({"scale/later/images": _setting(min(limits, default=None))}, *map(Setting, keys))
        if retention.clamp_negative:
            results |= derived({"penalty/clamped": "yes"}, Setting(f"studies.{study}.retention.clamp_negative"))
    return results


def layers(study: str, settings: Study) -> Results:
    """Network of a study.

    ``network/{hidden, activation}`` of a fully connected network; ``network/published`` if the study of Kutalev and
    Lapina (2021) with the same name used it.
    """
    results: Results = {}
    network = settings.network
    sizes: dict[str, Any]
    if isinstance(network, FullyConnected):
        sizes = {"hidden": network.hidden, "activation": ACTIVATIONS[network.activation]}
    else:
        sizes = {name: parameter.default for name, parameter in signature(NETWORKS[network]).parameters.items()}
    if "hidden" in sizes:
        [activation] = [name for name, function in ACTIVATIONS.items() if function == sizes["activation"]]
        results |= {"network/hidden": _setting([*sizes["hidden"]]), "network/activation": ACTIVATION_LABELS[activation]}
    if any(path == ("network",) and published == network for path, published, _ in SETUPS.get(study, ())):
        results["network/published"] = "yes"
    return derived(results, Setting(f"studies.{study}.network"))
