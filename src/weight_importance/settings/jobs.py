"""Job settings of each stage: exactly what the result depends on, as one line of JSON.

A rule makes a job from a study with ``of`` and passes ``sorted_json()``; the stage's program reads it with ``parse``.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Literal, Self, TypeVar

from pydantic import Field

from weight_importance.runtime.optional import present
from weight_importance.settings.base import Count, Number, OneOrMore, Seed, Settings, Several, Share
from weight_importance.settings.learning import UNPENALISED, Duration, LaterTasks
from weight_importance.settings.messages import dotted, problems_of
from weight_importance.settings.networks import Network
from weight_importance.settings.studies import Study
from weight_importance.settings.tasks import FirstTask, Images, Inputs, Tasks

Model = TypeVar("Model", bound=Settings)
Seeds = tuple[int, ...]

EXAMPLE = """a JSON object such as '{"study": "mine", "seeds": [0, 1], ...}'; 'snakemake -n -p' prints them"""


def parse(model: type[Model], text: str) -> Model:
    """Parse settings in an argument.

    Raises:
        argparse.ArgumentTypeError: the text is not JSON, or not the settings of this model.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not JSON ({error}); allowed is {EXAMPLE}") from error
    if problems := problems_of(model, data, {}):
        sentences = " ".join(f"{dotted(path)}: {problem}" for path, problem in problems)
        raise argparse.ArgumentTypeError(f"not the settings of this stage: {sentences} Allowed is {EXAMPLE}")
    return model.model_validate(data)


class Job(Settings):
    """A stage's settings for one shard of a study."""

    study: str = Field(description="Name of the study, for tables and messages.")
    seeds: OneOrMore[Seed] = Field(description="The seeds of the shard.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse settings in an argument, for ``type=`` of argparse; see :func:`parse`."""
        return parse(cls, text)


class OnFirstTask(Job):
    """A job that needs only the first task and the networks trained on it."""

    network: Network
    inputs: Inputs = Inputs()
    dataset: str = Field(description="The data set of the first task.")
    first_task: FirstTask

    @staticmethod
    def _of_first_task(name: str, study: Study, seeds: Seeds) -> dict:
        same = {"study": name, "seeds": seeds, "network": study.network, "inputs": study.inputs}
        return same | {"dataset": study.datasets[0], "first_task": study.tasks.first()}


class Optimisation(Settings):
    """Batch size and learning rate of Adam."""

    batch_size: Count
    learning_rate: Number

    @classmethod
    def of(cls, study: Study) -> "Optimisation":
        """The optimiser of a study."""
        return Optimisation(batch_size=study.training.batch_size, learning_rate=study.training.learning_rate)


class TrainingJob(OnFirstTask):
    """Training on the first task. Depends neither on the number of tasks nor on validation and test images."""

    images: Count | None = Field(
        description="Number of training images: the first ones of the training set. null: all of them."
    )
    duration: Duration
    optimisation: Optimisation
    carry_adam: bool = Field(description="Whether Adam's state is kept for the next task.")
    reused_adam: bool = Field(False, description="Whether training starts with the Adam state of another network.")
    records: tuple[str, ...] = Field(strict=False, description="Quantities to record for path estimators.")

    @classmethod
    def of(cls, name: str, study: Study, seeds: Seeds, records: Sequence[str]) -> Self:
        """Settings for one shard of the study ``name``."""
        return cls(
            **cls._of_first_task(name, study, seeds),
            images=study.images.training,
            duration=Duration(epochs=study.training.epochs, iterations=study.training.iterations),
            optimisation=Optimisation.of(study),
            carry_adam=study.protocol.carry_adam,
            reused_adam=study.protocol.reused_adam,
            records=records,
        )


class EvaluationJob(OnFirstTask):
    """Accuracy of the trained networks on validation and test images of the first task."""

    images: Images
    train_on_validation: bool

    @classmethod
    def of(cls, name: str, study: Study, seeds: Seeds) -> Self:
        """Settings for one shard of the study ``name``."""
        overlap = study.protocol.train_on_validation
        return cls(**cls._of_first_task(name, study, seeds), images=study.images, train_on_validation=overlap)


class ImportanceJob(OnFirstTask):
    """Importances by one estimator on the first task."""

    part: Literal["training", "test"] = Field(description="The set of the images on which importances are computed.")
    images: Count | None = Field(
        description="Number of images of this set: the first training images, or evenly spaced test images. null: all "
        "of them."
    )
    samples: Count | None = Field(
        description="Number of images over which importances are averaged: the last ones of these. null: all of them."
    )

    @classmethod
    def of(cls, name: str, study: Study, seeds: Seeds, part: Literal["training", "test"] = "training") -> Self:
        """Settings for one shard of the study ``name``, on samples of training images or on test images."""
        return cls(
            **cls._of_first_task(name, study, seeds),
            part=part,
            images=getattr(study.images, part),
            samples=study.importance.samples if part == "training" else None,
        )


class PruningJob(OnFirstTask):
    """Accuracy on the first task's test images as weights are removed."""

    images: Count | None = Field(
        description="Number of test images, evenly spaced over the test set. null: all of them."
    )
    fractions: Several[Share]

    @classmethod
    def of(cls, name: str, study: Study, seeds: Seeds) -> Self:
        """Settings for one shard of the study ``name``, which has the section ``pruning``."""
        fractions = present(study.pruning).fractions
        return cls(**cls._of_first_task(name, study, seeds), images=study.images.test, fractions=fractions)


class OnAllTasks(Job):
    """A job that learns later tasks."""

    network: Network
    inputs: Inputs = Inputs()
    datasets: Several[str]
    tasks: Tasks
    optimisation: Optimisation
    carry_adam: bool
    penalised_path: bool
    samples: Count | None = Field(
        description="Number of images over which importances are averaged: the last training images. null: all of them."
    )
    learning: LaterTasks

    @staticmethod
    def _of_all_tasks(name: str, study: Study, seeds: Seeds) -> dict:
        return {
            "study": name,
            "seeds": seeds,
            **{key: getattr(study, key) for key in ("network", "inputs", "datasets", "tasks")},
            **{key: getattr(study.protocol, key) for key in ("carry_adam", "penalised_path")},
            "optimisation": Optimisation.of(study),
            "samples": study.importance.samples,
            "learning": LaterTasks(**{key: getattr(study.retention, key) for key in LaterTasks.model_fields}),
        }


class RetentionJob(OnAllTasks):
    """Learning of later tasks under one estimator, one ablation or no penalty, with several penalty strengths."""

    images: Images
    train_on_validation: bool
    lambdas: Several[Number] = Field(description="Penalty strengths; [0] without a penalty.")
    after_every_task: bool = True
    earlier_test_images: Count | None = None

    @classmethod
    def of(cls, name: str, study: Study, seeds: Seeds, condition: str) -> Self:
        """Settings for one shard of the study ``name`` under ``condition``.

        Args:
            name: study name.
            study: study with the section ``retention``.
            seeds: shard seeds.
            condition: an estimator, an ablation, or one of :data:`UNPENALISED`, whose jobs do not depend on the
                settings of importances or of the penalty.
        """
        settings = cls._of_all_tasks(name, study, seeds)
        if condition in UNPENALISED:
            settings |= {"samples": None, "penalised_path": False, "learning": settings["learning"].without_penalty()}
        return cls(
            **settings,
            images=study.images,
            train_on_validation=study.protocol.train_on_validation,
            lambdas=present(study.retention).strengths(condition),
            after_every_task=present(study.retention).after_every_task,
            earlier_test_images=present(study.retention).earlier_test_images,
        )


class CorrelationJob(Job):
    """Correlation of the importances of one shard."""

    permutations: Count
