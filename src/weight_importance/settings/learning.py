"""Settings of training, importances, retention (learning later tasks under a penalty), and pruning."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field

from weight_importance.runtime.optional import present
from weight_importance.settings.ablation_names import is_ablation, parse
from weight_importance.settings.base import (
    AblationName,
    Count,
    OneOrMore,
    Positive,
    Problem,
    RetainedName,
    Settings,
    Several,
    Share,
    check,
)


class Protocol(Settings):
    """Choices in which published experiments differ; with the defaults, no network is trained on validation images."""

    train_on_validation: bool = Field(False, description="Whether networks may be trained on validation images.")
    carry_adam: bool = Field(
        False,
        description="Whether Adam's state is carried from task to task. false: it is reset at each task.",
    )
    reused_adam: bool = Field(
        False,
        description="Whether each network starts with Adam's state at the end of another network's first task, as in "
        "code that re-initialises the weights but not the optimiser. false: with a new state. Networks trained for the "
        "explanation always start with a new state.",
    )
    select_lambda_on: Literal["validation", "test"] = Field(
        "validation", description="Images whose accuracy selects the penalty strength lambda."
    )
    pruning_importance_on: Literal["training", "test"] = Field(
        "training", description="Images on which importances for pruning are computed."
    )
    penalised_path: bool = Field(
        False,
        description="Whether path estimators use the gradient of loss plus penalty. false: that of the loss alone.",
    )

    @property
    def as_published(self) -> bool:
        """Whether this is the protocol of Kutalev and Lapina (2021), whose experiments differ in ``reused_adam``."""
        return self.model_copy(update={"reused_adam": KUTALEV_LAPINA.reused_adam}) == KUTALEV_LAPINA


KUTALEV_LAPINA = Protocol(
    train_on_validation=True,
    carry_adam=True,
    reused_adam=True,
    select_lambda_on="test",
    pruning_importance_on="test",
    penalised_path=True,
)
"""The protocol of Kutalev and Lapina (2021) for several tasks; for pruning, every network has a new Adam state."""


class Duration(Settings):
    """The duration of a training: epochs, or a number of optimiser steps."""

    epochs: Count | None = Field(None, description="Passes over the training images. Give either epochs or iterations.")
    iterations: Count | None = Field(
        None, description="Optimiser steps, over as many epochs as they need. Give either epochs or iterations."
    )

    @check
    def one_duration(self) -> Iterator[Problem]:
        """Training has one duration."""
        if self.epochs is None and self.iterations is None:
            yield ("epochs",), f"missing. {Duration.model_fields['epochs'].description}"
        elif self.epochs is not None and self.iterations is not None:
            yield ("iterations",), "must be null if epochs is given: give either epochs or iterations."

    def steps(self, images: int, batch_size: int) -> int:
        """Optimiser steps on ``images`` images; incomplete batches are dropped."""
        return self.iterations or images // batch_size * present(self.epochs)


class Training(Duration):
    """Training of the first task, and the optimiser (Adam) of every task."""

    batch_size: Count = Field(description="Images per optimiser step.")
    learning_rate: Positive = Field(description="Step size of Adam.")


class Importance(Settings):
    """Computation of importances."""

    samples: Count | None = Field(
        description="Number of images over which importances are averaged: the last training images. null: all of them."
    )


UNPENALISED = ("none", "joint")
"""Conditions without a penalty: later tasks are learnt alone, or jointly with all earlier ones."""


L2 = "l2"
"""Importance 1 for every parameter: the penalty is the squared distance from the anchor."""


class PlainL2(Settings):
    """Baseline of all estimators: the penalty with an importance of one for every weight, and its own lambda."""

    lambdas: OneOrMore[Positive] = Field(description="Penalty strengths to try.")
    depth_ratios: Several[Positive] = Field(
        (),
        description="Ratios of the last layer's penalty strength to the first layer's; strengths between them form a "
        "geometric progression. Do not list 1, which is the baseline itself.",
    )
    depth_lambdas: OneOrMore[Positive] | None = Field(
        None,
        description="Penalty strengths (geometric means over the layers) to try with each ratio. null: lambdas.",
    )

    @property
    def conditions(self) -> tuple[str, ...]:
        """Conditions under which later tasks are learnt."""
        return (L2, *(f"depth_{ratio:.12g}({L2})" for ratio in self.depth_ratios))

    @check
    def no_ratio_of_one(self) -> Iterator[Problem]:
        """The ratio 1 is already the baseline."""
        if 1 in self.depth_ratios:
            yield ("depth_ratios",), "must not list 1: one strength for all layers is tried anyway."


class LaterTasks(Duration):
    """Learning of each task after the first under a penalty."""

    images: Count | None = Field(
        description="Largest number of training images of each task after the first (the last ones). null: all of them."
    )
    clamp_negative: bool = Field(
        description="Whether negative importances (of path and curvature estimators) count as zero in the penalty."
    )
    accumulation: Literal["sum", "mean", "online", "per_task"] = Field(
        description="How the penalty combines the importances of the tasks learnt so far. sum: their sum. mean: their "
        "mean. online: their sum, in which earlier importances are multiplied by decay after each task (Schwarz et al. "
        "2018). These three have one anchor, the weights after the latest task. per_task: one penalty per task, each "
        "with its own importances and anchor (Kirkpatrick et al. 2017)."
    )
    decay: Share = Field(description="Factor of earlier importances with accumulation online.")
    task_weights: Literal["as_computed", "equal"] = Field(
        "as_computed",
        description="Weights of the tasks. as_computed: importances are used as computed; with estimators that sum "
        "over steps, such as SI, a longer task then has more weight. equal: the importances of each task are divided "
        "by their mean absolute value over the network, so that all tasks have the same weight; this changes the scale "
        "of lambda.",
    )
    penalty: Literal["plain", "halved", "stabilised"] = Field(
        description="Form of the penalty. plain: lambda times importance times squared distance. halved: half of this "
        "(Kirkpatrick et al. 2017). stabilised: as halved, but divided by one plus lambda times importance times "
        "learning rate (Kutalev and Lapina 2021)."
    )
    batch_norm: Literal["running", "frozen"] = Field(
        description="Running statistics of batch normalisation during later tasks. running: they are updated on every "
        "task. frozen: they stay as after the first task."
    )

    def without_penalty(self) -> Self:
        """Return a copy in which the settings that only a penalty uses have neutral values."""
        neutral = {
            "clamp_negative": False,
            "accumulation": "sum",
            "decay": 1.0,
            "task_weights": "as_computed",
            "penalty": "plain",
        }
        return self.model_copy(update=neutral)

    @check
    def stabilised_penalty(self) -> Iterator[Problem]:
        """A negative importance can bring the denominator of the stabilised penalty to zero."""
        if self.penalty == "stabilised" and not self.clamp_negative:
            yield ("clamp_negative",), "must be true with penalty 'stabilised', found false."

    @check
    def penalties_per_task(self) -> Iterator[Problem]:
        """Penalties per task can be added only if all are quadratic and importances are not negative."""
        if self.accumulation == "per_task":
            if self.penalty == "stabilised":
                yield ("penalty",), "must be plain or halved with accumulation 'per_task', found 'stabilised'."
            if not self.clamp_negative:
                yield ("clamp_negative",), "must be true with accumulation 'per_task', found false."


class Retention(LaterTasks):
    """Learning of the later tasks, one after another, with elastic weight consolidation."""

    seeds: Count | None = Field(
        description="Number of networks that learn the later tasks: the first seeds, in whole shards. null: all."
    )
    unpenalised: bool = Field(
        description="Whether the tasks are also learnt without a penalty. false is allowed only with companion_of."
    )
    after_every_task: bool = Field(
        True,
        description="Whether test accuracies are measured after every task. false: only after the last task. "
        "Validation accuracies, which select lambda, are measured only after the last task.",
    )
    earlier_test_images: Count | None = Field(
        None,
        description="Largest number of test images of each task for accuracies before the last task, at equal "
        "distances in the test set. null: all of them.",
    )
    joint: bool = Field(
        False,
        description="Whether the tasks are also learnt jointly, as an upper reference: each task together with all "
        "earlier tasks, in equal shares of every batch, without a penalty.",
    )
    l2: PlainL2 | None = Field(
        None, description="Learning the tasks with plain L2 as well, the baseline of all estimators. null: omitted."
    )
    lambdas: dict[RetainedName, Several[Positive]] = Field(
        description="Penalty strengths to try: one list per estimator (an empty list: no retention with it), and one "
        "per ablation whose list differs from ablation_lambdas."
    )
    ablations: Several[AblationName] = Field(
        (),
        description="Transforms of importances that keep one property and destroy others; the later tasks are also "
        "learnt with each of them. The form is transform(estimator) or values_of(estimator)_in_ranks_of(estimator). "
        "Transforms: uniform, tensor_mean, input_factor, output_factor, rank_one, in_order_of_factors, shuffled, "
        "shuffled_within_neuron, reversed, power_ALPHA (a positive number, such as power_0.5), depth_RATIO (such as "
        "depth_10).",
    )
    ablation_lambdas: Several[Positive] = Field(
        (), description="Penalty strengths of every ablation without its own list under lambdas."
    )

    def strengths(self, name: str) -> tuple[float, ...]:
        """The penalty strengths of an estimator or an ablation; training without a penalty has one strength, zero."""
        if name in UNPENALISED:
            return (0.0,)
        if self.l2 is not None and name in self.l2.conditions:
            return self.l2.lambdas if name == L2 else self.l2.depth_lambdas or self.l2.lambdas
        return self.lambdas.get(name, self.ablation_lambdas if is_ablation(name) else ())

    @check
    def unused_strengths(self) -> Iterator[Problem]:
        """Every ablation with strengths is listed."""
        for name, strengths in self.lambdas.items():
            if is_ablation(name) and strengths and name not in self.ablations:
                yield ("lambdas", name), "is not listed under retention.ablations: list it there, or give it []."

    @check
    def strengths_of_ablations(self) -> Iterator[Problem]:
        """Every ablation, and every estimator it is compared with, has strengths."""
        without = [name for name in self.ablations if not self.strengths(name)]
        if without:
            text = "needs penalty strengths for the ablations without any under retention.lambdas: "
            yield ("ablation_lambdas",), f"{text}{', '.join(without)}."
        for position, name in enumerate(self.ablations):
            for estimator in parse(name).estimators:
                if not self.lambdas.get(estimator):
                    yield (
                        ("ablations", position),
                        f"'{name}' is compared with '{estimator}', which needs strengths under retention.lambdas.",
                    )

    @check
    def clamped_ablations(self) -> Iterator[Problem]:
        """Ablations need non-negative importances."""
        if self.ablations and not self.clamp_negative:
            yield (
                ("clamp_negative",),
                "must be true with ablations, which need non-negative importances, found false.",
            )


class Pruning(Settings):
    """Removal of the least important weights of the network trained on the first task."""

    fractions: OneOrMore[Share] = Field(description="Fractions of the weights to remove.")
