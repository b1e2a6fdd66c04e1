"""Settings of the explanation of agreement: confidence, shared factors, sampling noise, trajectories."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from weight_importance.settings.base import (
    Count,
    EstimatorName,
    OneOrMore,
    Positive,
    Problem,
    Settings,
    Several,
    Share,
    TwoOrMore,
    check,
)


class Trajectories(Settings):
    """Learning of later tasks under the penalty of one estimator; all estimators are compared on each such network."""

    tasks: Annotated[int, Field(ge=2)] = Field(description="Length of the sequence, the first task included.")
    images: Count = Field(description="Largest number of training images of each later task (the last ones).")
    strengths: Annotated[dict[EstimatorName, Positive], Field(min_length=2)] = Field(
        description="Penalty strength lambda of each estimator whose penalty is used."
    )


class Explanation(Settings):
    """Why importances agree: measurements on networks after the first task and on networks trained on few images."""

    estimators: TwoOrMore[EstimatorName] = Field(
        description="Estimators whose agreement is explained; the study need not list them. Total signal is always "
        "compared with each of them."
    )
    samples: Annotated[int, Field(ge=2)] = Field(
        description="Number of images over which importances are averaged (the last training images). For reliability "
        "they are divided into halves."
    )
    temperatures: Several[Positive] = Field(
        description="Temperatures of the softmax of the trained network, in addition to 1. Above 1 the network is less "
        "confident."
    )
    images: Count = Field(
        description="Number of images (the last training images) on which networks are trained for epochs and label "
        "smoothing."
    )
    epochs: OneOrMore[Count] = Field(
        description="Numbers of passes over these images after which importances are compared."
    )
    label_smoothing: Several[Share] = Field(
        description="Degrees of label smoothing: the share of the target that is spread evenly over all classes. "
        "Networks are trained with each for the largest number of epochs. 0: no smoothing."
    )
    trajectories: Trajectories = Field(description="Learning of later tasks under the penalty of each estimator.")

    def levels(self, condition: str) -> tuple[float, ...]:
        """Sorted levels of a condition, without label smoothing 0, for which no network is trained."""
        levels: dict[str, set[float]] = {
            "temperature": {1, *self.temperatures},
            "epochs": {*self.epochs},
            "label_smoothing": {*self.label_smoothing} - {0},
        }
        return tuple(sorted(levels[condition]))

    def conditions(self) -> list[str]:
        """The conditions that have levels."""
        return [name for name in ("temperature", "epochs", "label_smoothing") if self.levels(name)]

    @check
    def sample_count(self) -> Iterator[Problem]:
        """Samples belong to the training images of the additional networks."""
        limits = {"images": self.images, "trajectories.images": self.trajectories.images}
        for name, most in limits.items():
            if self.samples > most:
                yield ("samples",), f"must be at most explanation.{name}, {most}, found {self.samples}."

    @check
    def strengths_listed(self) -> Iterator[Problem]:
        """Trajectories use only estimators that are compared."""
        for name in self.trajectories.strengths:
            if name not in self.estimators:
                yield (
                    ("trajectories", "strengths", name),
                    f"is not one of explanation.estimators ({', '.join(self.estimators)}): list it there, or "
                    "remove it.",
                )
