"""Settings of a sequence of tasks, one model per kind, and of the division of images."""

from typing import Annotated, Literal

from pydantic import Field

from weight_importance.settings.base import Count, NotNegative, Positive, Seed, Settings

TaskCount = Annotated[int, Field(ge=2, le=1000)]


class PlainFirstTask(Settings):
    """A first task that is the original first data set."""

    kind: Literal["permuted", "rotated"]


class PermutedTasks(Settings):
    """The first round uses the original data sets; each later round applies one random permutation to the pixels.

    If every network has its own permutations, intervals over networks also cover the choice of permutations.
    """

    kind: Literal["permuted"] = Field(description="Each round after the first has its own permutation of the pixels.")
    count: TaskCount = Field(description="Length of the sequence, the first task included.")
    seed: Seed | None = Field(
        description="Seed of the permutations, which are then the same for every network. null: every network has its "
        "own permutations, drawn with its seed."
    )

    def first(self) -> PlainFirstTask:
        """The settings that the first task depends on."""
        return PlainFirstTask(kind=self.kind)


class RotatedTasks(Settings):
    """The first round uses the original data sets; each later round rotates the images by a further 90 degrees."""

    kind: Literal["rotated"] = Field(
        description="Each round after the first rotates the images by a further 90 degrees."
    )
    count: TaskCount = Field(description="Length of the sequence, the first task included; at most 4 per data set.")

    def first(self) -> PlainFirstTask:
        """The settings that the first task depends on."""
        return PlainFirstTask(kind=self.kind)


class SplitFirstTask(Settings):
    """A first task of some of the classes of a data set."""

    kind: Literal["split"] = Field(description="The classes of one data set are divided over the tasks.")
    classes: Annotated[int, Field(ge=2)] = Field(description="Number of classes per task.")
    scenario: Literal["task", "domain", "class"] = Field(
        description="Task-, domain- or class-incremental learning, which determines the outputs that a task uses (van "
        "de Ven, Tuytelaars and Tolias 2022). task: the outputs of the task's own classes. domain: the first outputs, "
        "shared by all tasks; labels count from 0 within each task. class: the outputs of all classes learnt so far."
    )
    order: Literal["fixed", "per_seed"] = Field(
        description="Order of the classes. fixed: by label. per_seed: a random order for every network; requires "
        "iterations in training and retention."
    )


class SplitTasks(SplitFirstTask):
    """The classes of one data set are divided over the tasks."""

    count: TaskCount = Field(
        description="Number of tasks. count times classes must not exceed the number of classes of the data set."
    )

    def first(self) -> SplitFirstTask:
        """The settings that the first task depends on."""
        return SplitFirstTask(**self.model_dump(exclude={"count"}))


Tasks = Annotated[PermutedTasks | RotatedTasks | SplitTasks, Field(discriminator="kind")]
"""A sequence of tasks."""

FirstTask = Annotated[PlainFirstTask | SplitFirstTask, Field(discriminator="kind")]
"""The settings of tasks that the first task depends on."""


class Images(Settings):
    """Number of images in each part of a data set."""

    training: Count | None = Field(
        description="Number of training images: the first ones of the training set. null: all of them; requires "
        "protocol.train_on_validation."
    )
    validation: Count = Field(description="Number of validation images: the last ones of the training set.")
    test: Count | None = Field(description="Number of test images, evenly spaced over the test set. null: all of them.")


class Inputs(Settings):
    """Preprocessing of the images, after their values are scaled to the range from 0 to 1."""

    padding: Annotated[int, Field(ge=0)] = Field(
        0, description="Number of black pixels added on each side of an image."
    )
    mean: NotNegative = Field(0.0, description="Value that is subtracted from all pixels.")
    sd: Positive = Field(1.0, description="Value by which all pixels are divided after mean is subtracted.")
