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
    """Later tasks learnt under the penalty of one estimator at a time; all estimators are compared on each network."""

    tasks: Annotated[int, Field(ge=2)] = Field(description="Length of the sequence, the first task included.")
    images: Count = Field(description="Training images of each later task, at most (the last ones).")
    strengths: Annotated[dict[EstimatorName, Positive], Field(min_length=2)] = Field(
        description="The penalty strength lambda of each estimator under whose penalty the tasks are learnt."
    )


class Explanation(Settings):
    """Why importances agree, measured on the networks of the first task and on networks trained on few images."""

    estimators: TwoOrMore[EstimatorName] = Field(
        description="The estimators whose agreement is explained; the study need not list them. The total signal is "
        "compared with each of them in any case."
    )
    samples: Annotated[int, Field(ge=2)] = Field(
        description="Images that importances are averaged over (the last training images); also divided into halves."
    )
    temperatures: Several[Positive] = Field(
        description="Temperatures of the softmax of the trained network; 1 is always added. Above 1 the network is "
        "less confident."
    )
    images: Count = Field(
        description="Images on which further networks are trained, for epochs and label smoothing: the last training "
        "images."
    )
    epochs: OneOrMore[Count] = Field(
        description="Numbers of passes over these images after which importances are compared."
    )
    label_smoothing: Several[Share] = Field(
        description="Shares of the target that are spread evenly over all classes; networks are trained with each for "
        "the largest number of epochs. 0 is the plain loss."
    )
    trajectories: Trajectories = Field(description="Later tasks learnt under one estimator's penalty after another.")

    def levels(self, condition: str) -> tuple[float, ...]:
        """The levels of a condition, sorted; label smoothing 0 is not among them, as no network is trained for it."""
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
        """Samples are among the images that the further networks are trained on."""
        limits = {"images": self.images, "trajectories.images": self.trajectories.images}
        for name, most in limits.items():
            if self.samples > most:
                yield ("samples",), f"must be at most explanation.{name}, {most}, found {self.samples}."

    @check
    def strengths_listed(self) -> Iterator[Problem]:
        """The estimators of the trajectories are among those compared."""
        for name in self.trajectories.strengths:
            if name not in self.estimators:
                yield (
                    ("trajectories", "strengths", name),
                    f"is not one of explanation.estimators ({', '.join(self.estimators)}): list it there, or "
                    "remove it.",
                )
