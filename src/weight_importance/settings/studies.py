"""Settings of a study, and the checks that concern several of its sections."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from weight_importance.settings.ablation_names import parse
from weight_importance.settings.base import (
    Count,
    DatasetName,
    EstimatorName,
    KeyPath,
    OneOrMore,
    Problem,
    Seed,
    SeedCount,
    Settings,
    Several,
    check,
)
from weight_importance.settings.explanation import Explanation
from weight_importance.settings.learning import L2, UNPENALISED, Importance, Protocol, Pruning, Retention, Training
from weight_importance.settings.networks import Network
from weight_importance.settings.tasks import Images, Inputs, RotatedTasks, SplitTasks, Tasks

Analysis = Literal[
    "correlation",
    "pruning",
    "retention",
    "estimators",
    "ablations",
    "atlas",
    "explanation",
    "variants",
    "reproduction",
    "benchmarks",
    "lambda_range",
]

SECTIONS: dict[Analysis, str] = {
    "retention": "retention",
    "ablations": "retention",
    "pruning": "pruning",
    "explanation": "explanation",
    "benchmarks": "retention",
    "lambda_range": "retention",
}
"""Section of a study's settings that an analysis requires."""


class Common(Settings):
    """Settings at the top level of the configuration that are the defaults of every study."""

    seeds: SeedCount = Field(description="Number of networks. Their seeds are first_seed, first_seed + 1, and so on.")
    first_seed: Seed = Field(description="Seed of the first network.")
    shard_size: Count = Field(
        description="Number of networks that one job trains together. Results do not depend on it."
    )


class Study(Common):
    """A network, a sequence of tasks, and the analyses to make."""

    analyses: Several[Analysis] = Field(
        description="The analyses to make. Each value selects notebooks and the stages that they need. The list may be "
        "empty only in a study with companion_of; only the stages that other studies use are then computed."
    )
    networks_of: str | None = Field(
        None,
        description="Another study whose trained networks this study uses, and whose importances, for the estimators "
        "that both list.",
    )
    companion_of: str | None = Field(
        None,
        description="Another study, whose notebooks variants, reproduction, benchmarks and lambda_range also show this "
        "study.",
    )
    estimators: OneOrMore[EstimatorName] = Field(
        description="Importance estimators of this study: names of modules in estimators/catalogue, or Python files."
    )
    network: Network = Field(
        description="The network: its name in weight_importance.learning.networks, or the sizes of a fully connected "
        "network, such as {kind: mlp, hidden: [400, 400]}."
    )
    datasets: OneOrMore[DatasetName] = Field(
        description="The data sets of the tasks: names in weight_importance.data.catalogue."
    )
    tasks: Tasks = Field(description="The sequence of tasks made from the data sets.")
    images: Images = Field(description="The number of images of each part of a data set.")
    inputs: Inputs = Field(Inputs(), description="Preprocessing of the images.")
    protocol: Protocol = Field(Protocol(), description="Choices in which published experiments differ.")
    training: Training = Field(description="Training of every task with Adam.")
    importance: Importance = Field(description="Computation of importances.")
    retention: Retention | None = Field(
        None,
        description="Learning the later tasks with elastic weight consolidation. null: omitted.",
    )
    pruning: Pruning | None = Field(
        None, description="Removal of the least important weights of the network after the first task. null: omitted."
    )
    explanation: Explanation | None = Field(
        None, description="Why importances agree. Required if analyses lists explanation; otherwise not used."
    )

    def shards(self) -> list[tuple[int, ...]]:
        """The seeds of each shard."""
        end = self.first_seed + self.seeds
        starts = range(self.first_seed, end, self.shard_size)
        return [tuple(range(start, min(start + self.shard_size, end))) for start in starts]

    def retention_shards(self) -> list[tuple[int, ...]]:
        """Shards whose networks learn the later tasks; none without ``retention``."""
        if self.retention is None:
            return []
        count = self.seeds if self.retention.seeds is None else self.retention.seeds
        return [shard for shard in self.shards() if shard[-1] < self.first_seed + count]

    def first_task(self) -> dict[KeyPath, Any]:
        """Settings that determine the trained networks and their importances on the first task, by key path."""
        return {
            ("network",): self.network if isinstance(self.network, str) else self.network.model_dump(),
            ("datasets", 0): self.datasets[0],
            **{("tasks", key): value for key, value in self.tasks.first().model_dump().items()},
            ("images", "training"): self.images.training,
            **{("inputs", key): value for key, value in self.inputs.model_dump().items()},
            **{("protocol", key): getattr(self.protocol, key) for key in ("carry_adam", "reused_adam")},
            **{("training", key): value for key, value in self.training.model_dump().items()},
            ("importance", "samples"): self.importance.samples,
        }

    def retained(self) -> list[str]:
        """The conditions under which later tasks are learnt: without a penalty, plain L2, estimators, ablations."""
        if self.retention is None:
            return []
        names = [name for name in self.estimators if self.retention.lambdas.get(name)]
        wanted = {"none": self.retention.unpenalised, "joint": self.retention.joint}
        l2 = self.retention.l2.conditions if self.retention.l2 else ()
        return [*(name for name in UNPENALISED if wanted[name]), *l2, *names, *self.retention.ablations]

    @check
    def something_to_do(self) -> Iterator[Problem]:
        """A study without analyses is the companion of another study."""
        if not self.analyses and self.companion_of is None:
            yield ("analyses",), "needs at least one entry in a study without companion_of, found []."

    @check
    def required_sections(self) -> Iterator[Problem]:
        """An analysis needs the settings of its stages."""
        for analysis, section in SECTIONS.items():
            if analysis in self.analyses and getattr(self, section) is None:
                yield (
                    (section,),
                    f"is missing, but analyses lists '{analysis}': add this section, or remove the analysis.",
                )

    @check
    def several_estimators(self) -> Iterator[Problem]:
        """Correlation takes two estimators."""
        for analysis in ("correlation", "estimators", "atlas"):
            if analysis in self.analyses and len(self.estimators) < 2:
                yield ("estimators",), f"needs at least 2 entries, because analyses lists '{analysis}'; found 1."

    @check
    def listed_ablations(self) -> Iterator[Problem]:
        """The analysis of ablations needs some."""
        if "ablations" in self.analyses and self.retention is not None and not self.retention.ablations:
            yield ("retention", "ablations"), "needs at least one entry, because analyses lists 'ablations'; found []."

    @check
    def ablations_of_estimators(self) -> Iterator[Problem]:
        """Ablations use estimators of the study."""
        from_names = self.retention.ablations if self.retention else ()
        for position, name in enumerate(from_names):
            for estimator in parse(name).estimators:
                if estimator not in self.estimators:
                    yield (
                        ("retention", "ablations", position),
                        f"'{estimator}' is not among the estimators of the study ({', '.join(self.estimators)}).",
                    )

    @check
    def strengths_of_estimators(self) -> Iterator[Problem]:
        """Every estimator has a list of strengths; at least one list is not empty."""
        if self.retention is None:
            return
        for name in self.estimators:
            if name not in self.retention.lambdas:
                yield (
                    ("retention", "lambdas", name),
                    f"is missing: '{name}' is listed under estimators and needs a list of penalty strengths; "
                    "[] for no retention with it.",
                )
        if not any(self.retention.lambdas.get(name) for name in self.estimators):
            yield (
                ("retention", "lambdas"),
                "needs penalty strengths for at least one estimator of the study; for no retention at all, write "
                "retention: null.",
            )

    @check
    def one_l2(self) -> Iterator[Problem]:
        """Plain L2 is an estimator or the baseline, not both."""
        if self.retention is not None and self.retention.l2 is not None and L2 in self.estimators:
            yield ("retention", "l2"), f"must be null in a study whose estimators list '{L2}', which is the same."

    @check
    def unpenalised_reference(self) -> Iterator[Problem]:
        """Learning without a penalty is the reference; only a companion without ablations may omit it."""
        if self.retention is None or self.retention.unpenalised:
            return
        if self.companion_of is None or self.retention.ablations:
            condition = "with ablations" if self.retention.ablations else "in a study without companion_of"
            text = f"must be true {condition}, because learning without a penalty is the reference; found false."
            yield ("retention", "unpenalised"), text

    @check
    def retained_seeds(self) -> Iterator[Problem]:
        """Networks that learn later tasks form whole shards."""
        count = self.retention and self.retention.seeds
        if count and (count > self.seeds or (count % self.shard_size and count != self.seeds)):
            yield (
                ("retention", "seeds"),
                f"must be at most seeds, {self.seeds}, and a multiple of shard_size, {self.shard_size}, found {count}.",
            )

    @check
    def rotations(self) -> Iterator[Problem]:
        """Each data set has four rotations."""
        if isinstance(self.tasks, RotatedTasks) and self.tasks.count > 4 * len(self.datasets):
            most = 4 * len(self.datasets)
            yield ("tasks", "count"), f"must be at most {most}, four rotations per data set, found {self.tasks.count}."

    @check
    def divided_classes(self) -> Iterator[Problem]:
        """Split tasks divide one data set; with an order per seed, task sizes differ between networks."""
        if not isinstance(self.tasks, SplitTasks):
            return
        if len(self.datasets) > 1:
            yield ("datasets",), f"needs exactly 1 entry with tasks.kind 'split', found {len(self.datasets)}."
        if self.tasks.order == "per_seed":
            for section in ("training", "retention"):
                duration = getattr(self, section)
                if duration is not None and duration.iterations is None:
                    yield (
                        (section, "iterations"),
                        "is missing: with tasks.order 'per_seed', tasks of different networks differ in their number "
                        "of images; give iterations in place of epochs.",
                    )

    @check
    def validation_kept_apart(self) -> Iterator[Problem]:
        """Training on all images includes the validation images."""
        if self.images.training is None and not self.protocol.train_on_validation:
            yield (
                ("images", "training"),
                "must be a number, found null: all training images include the validation images; give a number such "
                "as 55000, or set protocol.train_on_validation to true.",
            )

    @check
    def sizes(self) -> Iterator[Problem]:
        """There are enough images for batches and importance samples."""
        limits = {"images.training": self.images.training, "retention.images": self.retention and self.retention.images}
        for name, images in limits.items():
            for section, key in (("training", "batch_size"), ("importance", "samples")):
                value = getattr(getattr(self, section), key)
                if images is not None and value is not None and value > images:
                    yield (section, key), f"must be at most {name}, {images}, found {value}."

    @check
    def explanation_sizes(self) -> Iterator[Problem]:
        """There are enough images and tasks for the explanation."""
        if self.explanation is None or "explanation" not in self.analyses:
            return
        images, most, batch = self.explanation.images, self.images.training, self.training.batch_size
        trajectories = self.explanation.trajectories
        if most is not None and images > most:
            yield ("explanation", "images"), f"must be at most images.training, {most}, found {images}."
        if images < batch:
            yield ("explanation", "images"), f"must be at least training.batch_size, {batch}, found {images}."
        path: KeyPath = ("explanation", "trajectories")
        if trajectories.images < batch:
            yield (*path, "images"), f"must be at least training.batch_size, {batch}, found {trajectories.images}."
        if trajectories.tasks > self.tasks.count:
            yield (*path, "tasks"), f"must be at most tasks.count, {self.tasks.count}, found {trajectories.tasks}."
