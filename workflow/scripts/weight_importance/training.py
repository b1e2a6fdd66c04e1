"""The one training loop: a stack of replicas learns one task, each on its own batches, with or without a penalty."""

import sys
import time
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from weight_importance.consolidation import QuadraticPenalty
from weight_importance.errors import UserError
from weight_importance.estimators.path import PathRecorder
from weight_importance.replicas import Replicas, channels_last, convolutional
from weight_importance.seeding import generator
from weight_importance.tasks import Split, to_inputs
from weight_importance.training_state import AdamState

EVALUATION_CHUNK = 200
"""Images per forward pass when accuracies are measured."""


class Progress(Protocol):
    """Is told about every optimiser step."""

    def step(self) -> None: ...


class ProgressLine:
    """Prints a line every few seconds: task, step, rate in replica-steps per second, time left.

    Args:
        steps: of every task that is learnt.
        replicas: how many learn side by side.
        first_task: the number of the first of these tasks, counted from 0.
        every: seconds between two lines.
    """

    def __init__(self, steps: Sequence[int], replicas: int, first_task: int = 0, every: float = 10.0) -> None:
        self._steps, self._replicas, self._first, self._every = steps, replicas, first_task, every
        self._ends = list(accumulate(steps))
        self._done, self._total = 0, self._ends[-1]
        self._start = self._said = time.monotonic()

    def step(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._said >= self._every or self._done == self._total:
            self._said = now
            rate = self._done / (now - self._start)
            task = next(index for index, end in enumerate(self._ends) if self._done <= end)
            step = self._done - self._ends[task] + self._steps[task]
            print(
                f"task {self._first + task + 1}/{self._first + len(self._steps)}, step {step}/{self._steps[task]}, "
                f"{rate * self._replicas:,.0f} replica-steps/s, {(self._total - self._done) / rate:,.0f} s left",
                file=sys.stderr,
                flush=True,
            )


def at_least_two(seeds: Sequence[int]) -> list[int]:
    """The seeds, a single one twice: a stack of one would take another matrix product and round differently.

    So a replica's result is the same bits alone (beside its copy) and among shard-mates.
    """
    return [*seeds] * 2 if len(seeds) == 1 else [*seeds]


def batch_indices(seeds: Sequence[int], task: int, samples: int, batch_size: int, epochs: int) -> Iterator[Tensor]:
    """Per step the sample indices ``(S, batch_size)`` of every seed; a last, smaller batch of an epoch is dropped.

    The order depends on seed, task and epoch alone, so every estimator and every λ sees the same batches.
    """
    for epoch in range(epochs):
        orders = [torch.randperm(samples, generator=generator("batch order", seed, task, epoch)) for seed in seeds]
        yield from torch.stack(orders)[:, : samples // batch_size * batch_size].split(batch_size, 1)


def train(
    replicas: Replicas,
    seeds: Sequence[int],
    data: Split,
    task: int,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    penalty: QuadraticPenalty | None = None,
    recorder: PathRecorder | None = None,
    record_penalty: bool = False,
    freeze_statistics: bool = False,
    adam: AdamState | None = None,
    progress: Progress | None = None,
) -> AdamState:
    """Train every replica on one task, in place.

    Args:
        replicas: the stack; R must be a multiple of the number of seeds, replicas of one seed standing together.
        seeds: the S seeds that order the batches; replica r uses ``seeds[r // (R // S)]``.
        data: the training images, on the replicas' device.
        task: the task's number, part of the batch order's seed.
        epochs: passes over the data.
        batch_size: images per step and replica.
        learning_rate: of Adam (Kingma and Ba 2015), its other constants at torch's defaults.
        penalty: added to the loss.
        recorder: is fed the gradient of the unpenalised loss and the displacement of every step.
        record_penalty: feed it the penalised gradient instead (as the published protocol does).
        freeze_statistics: keep the running statistics of batch normalisation, and normalise by them.
        adam: the state to go on from; fresh if there is none.
        progress: is told about every step.

    Returns:
        Adam's state after the last step.

    Raises:
        UserError: there are too few images for one batch.
    """
    if len(data) < batch_size:
        raise UserError(
            f"training.batch_size is {batch_size}, but a task has {len(data)} training images; lower the one or raise "
            "images.training in the config"
        )
    copies = len(replicas) // len(seeds)
    device = data.labels.device
    _set_mode(replicas.template, freeze_statistics)
    for number, indices in enumerate(batch_indices(seeds, task, len(data), batch_size, epochs)):
        indices = indices.to(device)
        inputs = to_inputs(data.images[indices]).repeat_interleave(copies, 0)
        labels = data.labels[indices].repeat_interleave(copies, 0)
        if number == 0:
            parameters = _lay_out_as_gradients(replicas, inputs, labels)
            weights = {name: flat(parameter) for name, parameter in parameters.items()}
            slots = {name: torch.zeros_like(weight) for name, weight in weights.items()}
            optimiser = torch.optim.Adam(weights.values(), lr=learning_rate, fused=True)
            if adam:
                _restore(optimiser, adam, parameters, weights)
            penalty = penalty and penalty.like(parameters)
            before = {name: torch.empty_like(parameter) for name, parameter in parameters.items()}
        gradients = _gradients(replicas, inputs, labels)
        for name, parameter in parameters.items():
            gradients[name] = _in_layout_of(parameter, gradients[name])
            total = penalty.gradient(name, parameter, gradients[name]) if penalty else gradients[name]
            weights[name].grad = _padded(total, slots[name])
            if record_penalty:
                gradients[name] = total
            if recorder:
                before[name].copy_(parameter)
        optimiser.step()
        if recorder:
            moved = {
                name: torch.sub(parameter, before[name], out=before[name]) for name, parameter in parameters.items()
            }
            recorder.step(gradients, moved)
        if progress:
            progress.step()
    replicas.parameters = {name: parameter.detach() for name, parameter in replicas.parameters.items()}
    return _remembered(optimiser, parameters, weights)


def _set_mode(network: nn.Module, freeze_statistics: bool) -> None:
    """Training mode; with frozen statistics, normalisation that keeps some stays in evaluation mode."""
    network.train()
    for module in network.modules() if freeze_statistics else ():
        if getattr(module, "running_mean", None) is not None:
            module.eval()


def _restore(
    optimiser: torch.optim.Adam, adam: AdamState, parameters: dict[str, Tensor], weights: dict[str, Tensor]
) -> None:
    """Put a remembered state into a fresh Adam over the parameters' memory."""
    for name, parameter in parameters.items():
        means = {"exp_avg": adam.first[name], "exp_avg_sq": adam.second[name]}
        step = torch.tensor(float(adam.steps), device=parameter.device)
        optimiser.state[weights[name]] = {"step": step} | {
            key: flat(_laid_out(mean.to(parameter.device), parameter.stride())) for key, mean in means.items()
        }


def _remembered(optimiser: torch.optim.Adam, parameters: dict[str, Tensor], weights: dict[str, Tensor]) -> AdamState:
    states = {name: optimiser.state[weights[name]] for name in parameters}
    first, second = (
        {
            name: states[name][key].as_strided(parameter.shape, parameter.stride()).clone()
            for name, parameter in parameters.items()
        }
        for key in ("exp_avg", "exp_avg_sq")
    )
    return AdamState(int(next(iter(states.values()))["step"].item()), first, second)


def _gradients(replicas: Replicas, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Each replica's gradient of its own mean cross-entropy, stacked.

    Networks of matrix products run as one, by ``vmap``. Those with convolutions run one after another: vmap would make
    grouped convolutions of theirs, which take up to twice as long, and hold the activations of all at once.
    """
    if convolutional(replicas.template):
        parts = [_gradient_of_one(replicas, index, inputs[index], labels[index]) for index in range(len(replicas))]
        return {name: torch.stack([part[name] for part in parts]) for name in replicas.parameters}
    with torch.enable_grad():
        logits = replicas.forward(inputs)
        loss = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / labels.shape[1]
        gradients = torch.autograd.grad(loss, list(replicas.parameters.values()))
    return dict(zip(replicas.parameters, gradients, strict=True))


def _gradient_of_one(replicas: Replicas, replica: int, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    leaves = {name: tensor.detach()[replica].requires_grad_() for name, tensor in replicas.parameters.items()}
    with torch.enable_grad():
        loss = cross_entropy(replicas.forward_one(replica, leaves, inputs), labels)
        gradients = torch.autograd.grad(loss, list(leaves.values()))
    return dict(zip(leaves, gradients, strict=True))


def _lay_out_as_gradients(replicas: Replicas, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Give every parameter the memory layout in which its gradient arrives, so that no step copies one.

    Batched products return weight gradients transposed in memory; a copy per step costs a third of the training time.

    Returns:
        The parameters outside any graph, sharing memory with the replicas' own.
    """
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in replicas.parameters.items()}
    # a trial, whose buffers are thrown away: running statistics must see every batch once
    trial = Replicas(replicas.template, leaves, {name: buffer.clone() for name, buffer in replicas.buffers.items()})
    gradients = _gradients(trial, inputs, labels)
    laid_out = {name: _laid_out(leaf.detach(), gradients[name].stride()) for name, leaf in leaves.items()}
    replicas.parameters = {name: tensor.detach().requires_grad_() for name, tensor in laid_out.items()}
    return laid_out


def _laid_out(tensor: Tensor, stride: Sequence[int]) -> Tensor:
    """A copy of a tensor with the given strides, in memory that is padded to whole vectors with zeros."""
    memory = torch.zeros(_whole_vectors(tensor), dtype=tensor.dtype, device=tensor.device)
    return memory.as_strided(tensor.shape, stride).copy_(tensor)


def _in_layout_of(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient with the parameter's strides, so that their flat views pair the same elements."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


VECTOR = 64
"""Elements: a multiple of what any processor's vector instructions take at once."""


def _whole_vectors(tensor: Tensor) -> int:
    return -(-tensor.numel() // VECTOR) * VECTOR


def flat(parameter: Tensor) -> Tensor:
    """A laid-out parameter's memory as a vector, padding included, without a copy.

    The optimiser works on such vectors, for it is elementwise. torch's fused Adam on the CPU copies tensors that are
    not contiguous, is silently wrong when parameter and gradient differ in their strides, and rounds the elements
    that fill no whole vector in another way: with padding there are none, and no replica depends on its place.
    """
    return parameter.as_strided((_whole_vectors(parameter),), (1,))


def _padded(gradient: Tensor, slot: Tensor) -> Tensor:
    """The gradient's memory as a vector; one that fills no whole vectors is copied into its padded slot."""
    vector = gradient.as_strided((gradient.numel(),), (1,))
    if len(vector) == len(slot):
        return vector
    slot[: len(vector)] = vector
    return slot


@torch.no_grad()
def accuracy(replicas: Replicas, data: Split) -> list[float]:
    """Each replica's accuracy on the images; ``nan`` for a replica whose weights are not finite.

    Replicas run one after another, so that a replica's accuracy cannot depend on its shard-mates even by rounding.
    """
    finite = replicas.finite().tolist()
    correct = torch.zeros(len(replicas), dtype=torch.long, device=data.labels.device)
    for start in range(0, len(data), EVALUATION_CHUNK):
        part = slice(start, start + EVALUATION_CHUNK)
        inputs, labels = channels_last(to_inputs(data.images[part])), data.labels[part]
        for replica in range(len(replicas)):
            network = replicas.network(replica).eval()
            correct[replica] += (network(inputs).argmax(1) == labels).sum()
    return [count / len(data) if whole else float("nan") for count, whole in zip(correct.tolist(), finite, strict=True)]
