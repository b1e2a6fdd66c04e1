"""Settings of a sequence of tasks, one model per kind, and of the division of images."""

from typing import Annotated, Literal

from pydantic import Field

from weight_importance.settings.base import Count, NotNegative, Positive, Seed, Settings

TaskCount = Annotated[int, Field(ge=2, le=1000)]


class PlainFirstTask(Settings):
    """A first task that is the first data set as it is."""

    kind: Literal["permuted", "rotated"]


class PermutedTasks(Settings):
    """The first round is the data sets as they are; each later round applies one random permutation of the pixels.

    Intervals over networks refer to permuted tasks in general only if every network has its own permutations.
    """

    kind: Literal["permuted"] = Field(description="Each round after the first has its own permutation of the pixels.")
    count: TaskCount = Field(description="Length of the sequence, the first task included.")
    seed: Seed | None = Field(
        description="Seed of the permutations, which are then the same for every network; null: every network has its "
        "own, drawn with its seed."
    )

    def first(self) -> PlainFirstTask:
        """The settings that the first task depends on."""
        return PlainFirstTask(kind=self.kind)


class RotatedTasks(Settings):
    """The first round is the data sets as they are; each later round turns the images by another 90 degrees."""

    kind: Literal["rotated"] = Field(description="Each round after the first turns the images by another 90 degrees.")
    count: TaskCount = Field(description="Length of the sequence, the first task included; at most 4 per data set.")

    def first(self) -> PlainFirstTask:
        """The settings that the first task depends on."""
        return PlainFirstTask(kind=self.kind)


class SplitFirstTask(Settings):
    """A first task of some of the classes of a data set."""

    kind: Literal["split"] = Field(description="The classes of one data set are divided over the tasks.")
    classes: Annotated[int, Field(ge=2)] = Field(description="Classes of each task.")
    scenario: Literal["task", "domain", "class"] = Field(
        description="The outputs of the network that a task is learnt and judged on (van de Ven, Tuytelaars and Tolias "
        "2022). task: those of the task's own classes; domain: the first ones, shared by all tasks, with labels within "
        "the task; class: those of all classes learnt so far."
    )
    order: Literal["fixed", "per_seed"] = Field(
        description="Order of the classes. fixed: by label; per_seed: a random one for every network, which requires "
        "iterations in training and retention."
    )


class SplitTasks(SplitFirstTask):
    """The classes of one data set are divided over the tasks."""

    count: TaskCount = Field(description="Number of tasks; count times classes is at most the number of classes.")

    def first(self) -> SplitFirstTask:
        """The settings that the first task depends on."""
        return SplitFirstTask(**self.model_dump(exclude={"count"}))


Tasks = Annotated[PermutedTasks | RotatedTasks | SplitTasks, Field(discriminator="kind")]
"""A sequence of tasks."""

FirstTask = Annotated[PlainFirstTask | SplitFirstTask, Field(discriminator="kind")]
"""The settings of tasks that the first task depends on."""


class Images(Settings):
    """The number of images of each part of a data set."""

    training: Count | None = Field(
        description="Images to train on: the first ones of the training set; null: all of them, which requires "
        "protocol.train_on_validation."
    )
    validation: Count = Field(description="Validation images: the last ones of the training set.")
    test: Count | None = Field(description="Test images: the first ones of the test set; null: all of them.")


class Inputs(Settings):
    """The form in which images become inputs of the network, beyond values between 0 and 1."""

    padding: Annotated[int, Field(ge=0)] = Field(0, description="Black pixels added on each side of an image.")
    mean: NotNegative = Field(0.0, description="Subtracted from all pixels (values between 0 and 1).")
    sd: Positive = Field(1.0, description="Pixels are divided by this after mean is subtracted.")
