"""The same networks under conditions that change how confident they are, and their importances by many estimators.

Temperature changes the output of a trained network; epochs and label smoothing are trained anew, on few images.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from weight_importance.data.samples import Samples, to_inputs
from weight_importance.estimators import registry
from weight_importance.estimators.engine.layers import CHUNK, evaluation_mode
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.path import PathRecorder, importance
from weight_importance.learning.loop import Options, train
from weight_importance.learning.penalty import Consolidation
from weight_importance.learning.replicas import Replicas
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.progress import counted
from weight_importance.runtime.seeding import generator

if TYPE_CHECKING:
    from weight_importance.settings import LaterTasks, Optimisation

CONFIDENCE = ("max_probability", "runner_up")

Stacked = dict[str, dict[str, Tensor]]
"""Estimator → parameter → importance of every replica, ``(R, *shape)`` on the CPU."""


class Tempered(nn.Module):
    """A network whose logits are divided by a temperature: above 1 it is less confident, and classifies the same."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network(inputs) / self.temperature


@dataclass(frozen=True)
class Condition:
    """Networks under one condition.

    Attributes:
        name: ``temperature``, ``epochs`` or ``label_smoothing``.
        level: its value.
        importances: by all estimators asked for.
        confidence: mean probability of the most probable class, and of the next one, per replica.
    """

    name: str
    level: float
    importances: Stacked
    confidence: Mapping[str, Sequence[float]]


@torch.no_grad()
def confidence(network: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Mean probability of the most probable class and of the runner-up.

    Args:
        network: from ``(N, ...)`` to logits ``(N, K)``, K at least 2; evaluated in evaluation mode.
        inputs: ``(N, ...)``.
    """
    with evaluation_mode(network):
        top = torch.cat([network(part).double().softmax(1).topk(2, 1).values for part in inputs.split(CHUNK)])
    return dict(zip(CONFIDENCE, top.mean(0).tolist(), strict=True))


def sampled(
    names: Sequence[str],
    replicas: Replicas,
    samples: Sequence[Samples],
    temperature: float = 1.0,
    draw: Sequence[int] = (0,),
) -> tuple[Stacked, dict[str, list[float]]]:
    """Importances by estimators that are computed on samples or read off the network, and the networks' confidence.

    Args:
        names: estimators; none of a path.
        replicas: the stack; label sampling depends on the seeds.
        samples: for each replica, what to average over.
        temperature: of the softmax.
        draw: numbers of the drawing of labels, which make it independent of others; the task's number is the first.

    Raises:
        UserError: a network has diverged.
    """
    found: Stacked = {name: {} for name in names}
    sure: dict[str, list[float]] = {name: [] for name in CONFIDENCE}
    finite = replicas.finite().tolist()
    for replica, (seed, data) in enumerate(zip(replicas.seeds, samples, strict=True)):
        if not finite[replica]:
            raise UserError(
                f"the training of seed {seed} diverged, so that there is nothing to explain; a smaller "
                "training.learning_rate in the config may mend it"
            )
        network, inputs = Tempered(replicas.network(replica), temperature), to_inputs(data.images)
        labels = generator("label sampling", seed, *draw)
        for name, values in registry.estimate_all(names, network, inputs, data.labels, generator=labels).items():
            for parameter, value in values.items():
                found[name].setdefault(parameter.removeprefix("network."), []).append(value.detach().cpu().clone())
        for name, value in confidence(network, inputs).items():
            sure[name].append(value)
    return {name: {key: torch.stack(parts) for key, parts in of.items()} for name, of in found.items()}, sure


def along_path(names: Sequence[str], recorded: Mapping[str, Mapping[str, Tensor]]) -> Stacked:
    """Importances by path estimators from what was recorded of a training, each ``(R, *shape)``."""
    return {
        name: {key: value.cpu() for key, value in importance(registry.load(name), recorded).items()} for name in names
    }


def recorder_of(names: Sequence[str]) -> PathRecorder:
    """A recorder of all that some path estimators are formed of."""
    return PathRecorder(sorted({record for name in names for record in registry.load(name).records}))


def divided(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The estimators of a path, and the others."""
    paths = [name for name in names if isinstance(registry.load(name), PathEstimator)]
    return paths, [name for name in names if name not in paths]


def tempered(
    names: Sequence[str],
    replicas: Replicas,
    samples: Samples,
    temperatures: Sequence[float],
    of_path: Stacked,
) -> Iterator[Condition]:
    """Trained networks at several temperatures of the softmax; importances of their path stay what they are.

    Args:
        names: all estimators.
        replicas: the trained stack.
        samples: what to average over.
        temperatures: the levels; 1, the network as it is, is always among them.
        of_path: importances by the path estimators among ``names``.
    """
    _, others = divided(names)
    for temperature in sorted({1.0, *map(float, temperatures)}):
        values, sure = sampled(others, replicas, [samples] * len(replicas), temperature)
        yield Condition("temperature", temperature, _in_order(names, values | of_path), sure)


def smoothings(label_smoothing: Sequence[float]) -> list[float]:
    """The amounts of label smoothing to train networks with: none, and the levels asked for."""
    return [*dict.fromkeys([0.0, *label_smoothing])]


def retrained(
    smoothing: float,
    names: Sequence[str],
    replicas: Replicas,
    data: Samples,
    samples: Samples,
    epochs: Sequence[int],
    label_smoothing: Sequence[float],
    optimisation: "Optimisation",
) -> Iterator[Condition]:
    """Networks trained from the start with one of the :func:`smoothings`, on which no other depends.

    Label smoothing is trained with for the most epochs; without any, the networks are those of the epochs, too.

    Args:
        smoothing: the amount.
        names: all estimators.
        replicas: freshly initialised networks.
        data: images to train on.
        samples: what importances are averaged over.
        epochs: the levels of the condition ``epochs``.
        label_smoothing: those of the condition ``label_smoothing``.
        optimisation: batches and the optimiser.
    """
    paths, others = divided(names)
    longest, done = max(epochs), 0
    recorder = recorder_of(paths)
    for reached in sorted(epochs) if smoothing == 0 else [longest]:
        options = Options(carry_adam=done > 0, label_smoothing=smoothing, first_epoch=done)
        train(
            replicas, [data] * len(replicas), 0, epochs=reached - done, optimisation=optimisation, recorder=recorder,
            options=options,
        )  # fmt: skip
        done = reached
        values, sure = sampled(others, replicas, [samples] * len(replicas))
        values |= along_path(paths, recorder.recorded())
        values = _in_order(names, values)
        if smoothing == 0:
            yield Condition("epochs", reached, values, sure)
        if reached == longest and smoothing in label_smoothing:
            yield Condition("label_smoothing", smoothing, values, sure)


def on_halves(names: Sequence[str], replicas: Replicas, samples: Samples) -> list[Stacked]:
    """Importances on two disjoint random halves of the samples, other halves for every seed.

    ``nan`` for path estimators, which average over a training and not over samples.
    """
    paths, others = divided(names)
    orders = [torch.randperm(len(samples), generator=generator("halves of samples", seed)) for seed in replicas.seeds]
    half = len(samples) // 2
    found = []
    for number in range(2):
        chosen = [order[number * half : (number + 1) * half].to(samples.labels.device) for order in orders]
        parts = [samples.take(places) for places in chosen]
        values, _ = sampled(others, replicas, parts, draw=(0, number + 1))
        none = {name: torch.full_like(tensor, torch.nan, device="cpu") for name, tensor in replicas.parameters.items()}
        found.append(_in_order(names, values | dict.fromkeys(paths, none)))
    return found


def trajectories(
    names: Sequence[str],
    baseline: Replicas,
    first: Stacked,
    later: Sequence[Samples],
    samples: int,
    strengths: Mapping[str, float],
    learning: "LaterTasks",
    optimisation: "Optimisation",
) -> dict[str, list[Stacked]]:
    """Later tasks learnt under the penalty of one estimator after the other, and importances by all on each trajectory.

    As :func:`weight_importance.learning.retention.Run` with fresh Adam for every task; here every estimator's
    importances are summed over the tasks along every trajectory, and not only those of the estimator that penalises.

    Args:
        names: all estimators.
        baseline: R replicas that have learnt the first task.
        first: importances on the first task.
        later: the training images of the tasks after it.
        samples: the last images of each task, which importances are averaged over.
        strengths: by the name of an estimator, λ of the penalty that it makes a trajectory under.
        learning: how the later tasks are learnt.
        optimisation: batches and the optimiser.

    Returns:
        estimator that penalised → after every task → estimator → parameter → importance summed over the tasks so far.
    """
    paths, others = divided(names)
    count, device = len(baseline), baseline.device
    found = {}
    for estimator, strength in counted(strengths.items(), len(strengths), "trajectories"):
        replicas = baseline.take(range(count))
        strength_of_all = torch.full((count,), float(strength), device=device)
        how = (
            learning.clamp_negative, learning.penalty, optimisation.learning_rate, learning.accumulation,
            learning.decay,
        )  # fmt: skip
        sums = {name: Consolidation(strength_of_all, *how) for name in names}
        values, found[estimator] = first, []
        for task, data in enumerate([None, *later]):
            if data is not None:
                recorder = recorder_of(paths)
                train(
                    replicas, [data] * count, task, epochs=learning.epochs, optimisation=optimisation,
                    penalty=sums[estimator].penalty(), recorder=recorder,
                    options=Options(
                        freeze_statistics=learning.batch_norm == "frozen",
                        steps=learning.iterations and range(learning.iterations),
                    ),
                )  # fmt: skip
                values, _ = sampled(others, replicas, [data.last(samples)] * count, draw=(task,))
                values |= along_path(paths, recorder.recorded())
            for name, of in values.items():
                sums[name].task_learnt(replicas.parameters, {key: value.to(device) for key, value in of.items()})
            found[estimator].append({name: _on_cpu(sums[name].importance) for name in names})
    return found


def _on_cpu(importance: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy that later sums leave as it is."""
    return {key: value.detach().cpu().clone() for key, value in importance.items()}


def _in_order(names: Sequence[str], values: Stacked) -> Stacked:
    return {name: values[name] for name in names}


def of_replica(stacked: Stacked, replica: int) -> Stacked:
    """Importances of one replica, without the replica axis."""
    return {name: {key: tensor[replica] for key, tensor in of.items()} for name, of in stacked.items()}
