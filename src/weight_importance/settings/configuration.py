"""Settings of the whole configuration, with the checks that concern several studies."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from weight_importance.settings.base import (
    Count,
    EstimatorName,
    KeyPath,
    Problem,
    Settings,
    TwoOrMore,
    check,
    nearest,
)
from weight_importance.settings.studies import Common, Study

OF_ALL_STUDIES = ("seeds", "first_seed", "shard_size", "estimators")
"""Top-level keys that set the defaults of every study."""

OF_NETWORKS = ("network", "datasets", "tasks", "images", "inputs", "protocol", "training", "importance")
"""Keys that a study inherits from its ``networks_of`` study unless it sets them."""

COMPARISONS = ("variants", "reproduction", "benchmarks", "lambda_range")
"""The analyses that show a study together with its companions."""

StudyName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$")]


class Correlation(Settings):
    """Correlation of importances between estimators."""

    permutations: Count = Field(
        description="Number of random permutations per pair of estimators, for the null distribution of correlations."
    )


class Configuration(Common):
    """The whole configuration: what is computed. Profiles determine how it runs (cores, memory, cluster).

    The top-level keys seeds, first_seed, shard_size and estimators are the defaults of all studies.
    """

    estimators: TwoOrMore[EstimatorName] = Field(
        description="Importance estimators to compare: names of modules in estimators/catalogue, or Python files such "
        "as my_estimator.py (relative to the working directory). Elsewhere, write the name without .py."
    )
    studies: Annotated[dict[StudyName, Study], Field(min_length=1)] = Field(
        description="Studies by name (lower-case letters, digits, underscores). Folders and tables use these names."
    )
    correlation: Correlation = Field(description="Correlation of importances between estimators.")
    claims: Literal["required", "marked"] = Field(
        "required",
        description="Treatment of a sentence in the paper that the results do not support. required: the paper is not "
        "built. marked: the sentence is marked in the PDF.",
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        return completed(data) if isinstance(data, Mapping) else data

    @check
    def shared_networks(self) -> Iterator[Problem]:
        """Shared networks exist and match the settings of the study that uses them."""
        for name, study in self.studies.items():
            if study.networks_of is None:
                continue
            path: KeyPath = ("studies", name)
            owner = self.studies.get(study.networks_of)
            if owner is None or owner is study:
                yield (*path, "networks_of"), _other_study(study.networks_of, name, self.studies)
            elif owner.networks_of is not None:
                yield (
                    (*path, "networks_of"),
                    f"'{study.networks_of}' uses the networks of '{owner.networks_of}': name that study.",
                )
            else:
                expected = owner.first_task()
                for key, value in study.first_task().items():
                    if value != expected[key]:
                        text = f"must be {json.dumps(expected[key])}, found {json.dumps(value)}"
                        reason = f"this study uses the networks of '{study.networks_of}' (networks_of)"
                        yield (*path, *key), f"{text}, because {reason}; remove it, or remove networks_of."
                if not set(study.shards()) <= set(owner.shards()):
                    text = f"first_seed, seeds and shard_size must give shards of '{study.networks_of}' (networks_of)"
                    yield (*path, "seeds"), f"{text}: {_in_words(owner)}, found {_in_words(study)}."

    @check
    def companionship(self) -> Iterator[Problem]:
        """A companion belongs to a study with comparisons."""
        for name, study in self.studies.items():
            if study.companion_of is None:
                continue
            path: KeyPath = ("studies", name, "companion_of")
            shown_in = self.studies.get(study.companion_of)
            if shown_in is None or shown_in is study:
                yield path, _other_study(study.companion_of, name, self.studies)
            elif not set(COMPARISONS) & set(shown_in.analyses):
                yield (
                    path,
                    f"'{study.companion_of}' has no comparison: list one of {', '.join(COMPARISONS)} in its analyses.",
                )

    def companions(self, name: str) -> list[str]:
        """Studies that the comparisons of the study ``name`` also show."""
        return [other for other, study in self.studies.items() if study.companion_of == name]


def stand_in(study: str, settings: Mapping[str, Study], table: str = "retention") -> str:
    """Choose the study to compare with the published results of ``study``.

    Args:
        study: name of a study with published results.
        settings: settings by study, of this study and its companions.
        table: the results to compare, ``retention`` or ``pruning``; in the publication, only the former reuse the state
            of Adam.

    Returns:
        a companion with the published protocol, if any, preferably the one with the published state of Adam; else
        ``study`` itself.
    """
    if study not in settings:
        raise KeyError(f"no settings of study '{study}', found those of {sorted(settings)}")
    if settings[study].protocol.as_published:
        return study
    followers = [
        name for name, other in settings.items() if other.companion_of == study and other.protocol.as_published
    ]
    reused = table == "retention"
    return next(
        (
            name
            for name in followers
            if settings[name].protocol.reused_adam == reused and getattr(settings[name], table)
        ),
        followers[0] if followers else study,
    )


def completed(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Copy the defaults, and the settings of shared networks, into every study."""
    studies = config.get("studies")
    if not isinstance(studies, Mapping):
        return config
    defaults = {key: config[key] for key in OF_ALL_STUDIES if key in config}
    return {**config, "studies": {name: _completed(study, studies, defaults) for name, study in studies.items()}}


def _completed(study: Any, studies: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
    """Fill in a study's missing settings from the study whose networks it uses, or from the defaults."""
    if not isinstance(study, Mapping):
        return study
    name = study.get("networks_of")
    owner = studies.get(name) if isinstance(name, str) else None
    shared = {key: owner[key] for key in OF_NETWORKS if key in owner} if isinstance(owner, Mapping) else {}
    return {**defaults, **shared, **study}


def _other_study(value: str, name: str, studies: Mapping[str, Any]) -> str:
    others = [other for other in studies if other != name]
    return f"unknown study '{value}'. {nearest(value, others)}Known: {', '.join(others) or 'none'}."


def _in_words(study: Study) -> str:
    last = study.first_seed + study.seeds - 1
    return f"seeds {study.first_seed} to {last} in shards of {study.shard_size}"
