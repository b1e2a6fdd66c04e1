"""Settings of a sequence of tasks, one model per kind, and of the division of images."""

from typing import Annotated, Literal

from pydantic import Field

from weight_importance.settings.base import Count, Seed, Settings

TaskCount = Annotated[int, Field(ge=2, le=1000)]


class FirstTask(Settings):
    """The settings of tasks that the first task depends on."""

    kind: Literal["permuted", "rotated"]


class PermutedTasks(Settings):
    """The first round is the data sets as they are; each later round applies one random permutation of the pixels."""

    kind: Literal["permuted"] = Field(description="Each round after the first has its own permutation of the pixels.")
    count: TaskCount = Field(description="Length of the sequence, the first task included.")
    seed: Seed = Field(description="Seed of the permutations; the same for every network.")

    def first(self) -> FirstTask:
        """The settings that the first task depends on."""
        return FirstTask(kind=self.kind)


class RotatedTasks(Settings):
    """The first round is the data sets as they are; each later round turns the images by another 90 degrees."""

    kind: Literal["rotated"] = Field(description="Each round after the first turns the images by another 90 degrees.")
    count: TaskCount = Field(description="Length of the sequence, the first task included; at most 4 per data set.")

    def first(self) -> FirstTask:
        """The settings that the first task depends on."""
        return FirstTask(kind=self.kind)


Tasks = Annotated[PermutedTasks | RotatedTasks, Field(discriminator="kind")]
"""A sequence of tasks: each round goes once through all data sets."""


class Images(Settings):
    """The number of images of each part of a data set."""

    training: Count | None = Field(
        description="Images to train on: the first ones of the training set; null: all of them, which requires "
        "protocol.train_on_validation."
    )
    validation: Count = Field(description="Validation images: the last ones of the training set.")
    test: Count | None = Field(description="Test images: the first ones of the test set; null: all of them.")
