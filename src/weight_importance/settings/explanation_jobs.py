"""Settings of the jobs that explain why importances agree: exactly what each result depends on."""

from typing import Annotated, Literal, Self

from pydantic import Field

from weight_importance.runtime.optional import present
from weight_importance.settings.base import Count, Number, OneOrMore, Positive, Settings, Several
from weight_importance.settings.jobs import OnAllTasks, OnFirstTask, Optimisation, Seeds
from weight_importance.settings.studies import Study

Condition = Literal["temperature", "epochs", "label_smoothing"]
"""Quantities that change the confidence of networks."""


class OnSamples(OnFirstTask):
    """A job that compares importances on samples of the first task."""

    images: Count | None = Field(
        description="Number of training images: the first ones of the training set. null: all of them."
    )
    samples: Count = Field(
        description="Number of images over which importances are averaged: the last training images."
    )
    estimators: Several[str]

    @classmethod
    def _of_samples(cls, name: str, study: Study, seeds: Seeds) -> dict:
        explanation = present(study.explanation)
        return {
            **cls._of_first_task(name, study, seeds),
            "images": study.images.training,
            "samples": explanation.samples,
            "estimators": explanation.estimators,
        }


class DecompositionJob(OnSamples):
    """Factors, total signal and sampling noise in the correlations of importances of the trained networks."""

    @classmethod
    def of(cls, name: str, study: Study, seeds: Seeds) -> Self:
        """Settings for one shard of the study ``name``, which has the section ``explanation``."""
        return cls(**cls._of_samples(name, study, seeds))


class FurtherTraining(Settings):
    """Training of additional networks on the first task, from scratch."""

    images: Count = Field(description="Largest number of training images: the last ones.")
    epochs: Count = Field(description="Largest number of passes over these images.")
    optimisation: Optimisation


class ConfidenceJob(OnSamples):
    """Agreement of importances at several levels of one condition that changes the networks' confidence."""

    condition: Condition
    levels: OneOrMore[Number] = Field(description="Temperatures, numbers of epochs, or amounts of label smoothing.")
    training: FurtherTraining | None = Field(description="Training of additional networks; null: the trained networks.")
    unsmoothed: bool = Field(description="Whether the networks of the most epochs are also level 0 of label smoothing.")

    @classmethod
    def of(cls, name: str, study: Study, seeds: Seeds, condition: Condition) -> Self:
        """Settings for one shard of the study ``name`` under a condition that has levels in the study."""
        explanation = present(study.explanation)
        training = FurtherTraining(
            images=explanation.images, epochs=max(explanation.epochs), optimisation=Optimisation.of(study)
        )
        return cls(
            **cls._of_samples(name, study, seeds),
            condition=condition,
            levels=explanation.levels(condition),
            training=None if condition == "temperature" else training,
            unsmoothed=condition == "epochs" and 0 in explanation.label_smoothing,
        )


class TrajectoriesJob(OnAllTasks):
    """Learning of later tasks under each estimator's penalty, with importances by all estimators."""

    images: Count | None = Field(
        description="Number of training images: the first ones of the training set. null: all of them."
    )
    estimators: Several[str]
    strengths: Annotated[dict[str, Positive], Field(min_length=2)] = Field(
        description="The penalty strength lambda by the name of the estimator."
    )

    @classmethod
    def of(cls, name: str, study: Study, seeds: Seeds) -> Self:
        """Settings for one shard of the study ``name``, which has ``retention`` and ``explanation``."""
        whole, explanation = cls._of_all_tasks(name, study, seeds), present(study.explanation)
        trajectories = explanation.trajectories
        whole |= {
            "tasks": study.tasks.model_copy(update={"count": trajectories.tasks}),
            "samples": explanation.samples,
            "learning": whole["learning"].model_copy(update={"images": trajectories.images}),
        }
        return cls(
            **whole,
            images=study.images.training,
            estimators=explanation.estimators,
            strengths=trajectories.strengths,
        )
