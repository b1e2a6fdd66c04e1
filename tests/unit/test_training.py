"""The training loop on a stack of replicas, against torch's own optimiser on single networks."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from weight_importance.consolidation import Consolidation
from weight_importance.estimators.path import PathRecorder
from weight_importance.replicas import Replicas, initialise
from weight_importance.seeding import derive, generator
from weight_importance.tasks import Split, to_inputs
from weight_importance.training import accuracy, at_least_two, batch_indices, train

SAMPLES, BATCH, EPOCHS, RATE = 60, 10, 3, 1e-3


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(16, 12)
        self.fc2 = nn.Linear(12, 4)

    def forward(self, images):
        return self.fc2(torch.nn.functional.leaky_relu(self.fc1(images.flatten(1))))


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.GroupNorm(1, 3)
        self.head = nn.Linear(12, 4)

    def forward(self, images):
        return self.head(torch.tanh(self.norm(self.conv(images))).flatten(1))


@pytest.fixture
def data() -> Split:
    torch.manual_seed(0)
    return Split(torch.randint(0, 256, (SAMPLES, 4, 4), dtype=torch.uint8), torch.randint(4, (SAMPLES,)))


def single(build, seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(derive("initialisation", seed))
        return build()


def train_one(build, seed, data, task, penalty=None):
    """One network, torch's plain (single-tensor) Adam, a Python loop; the penalty as a term of the loss."""
    network = single(build, seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE, foreach=False, fused=False)
    for epoch in range(EPOCHS):
        order = torch.randperm(SAMPLES, generator=generator("batch order", seed, task, epoch))
        for indices in order.split(BATCH):
            loss = cross_entropy(network(to_inputs(data.images[indices])), data.labels[indices])
            if penalty:
                loss = loss + penalty(dict(network.named_parameters()))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


OPTIONS = {"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": RATE}


@pytest.mark.parametrize("build", [Small, Convolutional])
@pytest.mark.parametrize("seeds", [[0, 1, 2], [7, 3]])
def test_a_stack_trains_as_single_networks_do(build, seeds, data):
    replicas = initialise(build, seeds)
    train(replicas, seeds, data, 2, **OPTIONS)
    for index, seed in enumerate(seeds):
        for name, expected in train_one(build, seed, data, 2).items():
            torch.testing.assert_close(replicas.parameters[name][index], expected, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("strengths", [[0.0, 0.5, 30.0]])
def test_the_penalty_is_lambda_sum_omega_squared_distance(strengths, data):
    """Σ λΩ(θ − θ*)² without ½, by automatic differentiation, next to the closed form in the loop."""
    seeds = [4, 9]
    spread = [0, 0, 0, 1, 1, 1]
    replicas = initialise(Small, seeds).take(spread)
    torch.manual_seed(1)
    omega = {name: torch.rand_like(tensor[:1]).expand_as(tensor) for name, tensor in replicas.parameters.items()}
    anchor = {name: torch.randn_like(tensor[:1]).expand_as(tensor) for name, tensor in replicas.parameters.items()}
    consolidation = Consolidation(torch.tensor(strengths * 2), clamp_negative=False)
    consolidation.task_learnt(anchor, omega)
    train(replicas, seeds, data, 1, penalty=consolidation.penalty(), **OPTIONS)
    for index, (seed, strength) in enumerate(zip([4, 4, 4, 9, 9, 9], strengths * 2, strict=True)):

        def term(parameters, strength=strength):
            return sum(
                (strength * omega[name][0] * (tensor - anchor[name][0]) ** 2).sum()
                for name, tensor in parameters.items()
            )

        for name, expected in train_one(Small, seed, data, 1, term).items():
            torch.testing.assert_close(replicas.parameters[name][index], expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("mates", [[], [1], [1, 2, 8], list(range(20, 29))])
@pytest.mark.parametrize("place", [0, -1])
def test_a_replica_is_the_same_bits_whatever_its_shard_mates_and_its_place_among_them(mates, place, data):
    def learn(seeds):
        replicas, recorder = initialise(Small, seeds), PathRecorder()
        consolidation = Consolidation(torch.ones(len(seeds)), clamp_negative=False)
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        omega = {
            name: torch.stack([torch.rand(tensor.shape[1:], generator=draw) for draw in draws])
            for name, tensor in replicas.parameters.items()
        }
        consolidation.task_learnt(replicas.parameters, omega)
        train(replicas, seeds, data, 0, penalty=consolidation.penalty(), recorder=recorder, **OPTIONS)
        return replicas, recorder

    reference, expected = learn([5, 6])
    seeds = at_least_two([*mates, 5] if place else [5, *mates])
    replicas, recorder = learn(seeds)
    for name, tensor in reference.parameters.items():
        assert torch.equal(replicas.parameters[name][place], tensor[0]), name
        assert torch.equal(recorder.path_integral[name][place], expected.path_integral[name][0]), name
    assert accuracy(replicas, data)[place] == accuracy(reference, data)[0]


def test_the_recorder_sees_the_unpenalised_gradient_and_the_real_displacement(data):
    replicas = initialise(Small, [0, 1])
    start = {name: tensor.clone() for name, tensor in replicas.parameters.items()}
    zeros = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
    ones = {name: torch.ones_like(tensor) for name, tensor in start.items()}
    consolidation = Consolidation(torch.tensor([100.0, 100.0]), clamp_negative=False)
    consolidation.task_learnt(zeros, ones)
    recorder = PathRecorder()
    train(replicas, [0, 1], data, 0, penalty=consolidation.penalty(), recorder=recorder, **OPTIONS)
    # an independent replay of replica 0: same steps, both gradients by hand
    network, path = single(Small, 0), {name: torch.zeros_like(tensor[0]) for name, tensor in start.items()}
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE, foreach=False, fused=False)
    for (indices,) in batch_indices([0], 0, SAMPLES, BATCH, EPOCHS):
        loss = cross_entropy(network(to_inputs(data.images[indices])), data.labels[indices])
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        before = [parameter.detach().clone() for parameter in network.parameters()]
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter.grad = gradient + 200 * parameter.detach()
        optimiser.step()
        for (name, parameter), old, gradient in zip(network.named_parameters(), before, gradients, strict=True):
            path[name] -= gradient * (parameter.detach() - old)
    for name, tensor in start.items():
        torch.testing.assert_close(recorder.path_integral[name][0], path[name], rtol=1e-3, atol=1e-5)
        moved = replicas.parameters[name] - tensor
        torch.testing.assert_close(recorder.displacement[name], moved, rtol=1e-4, atol=1e-6)


def test_a_diverged_replica_disturbs_no_other(data):
    reference, replicas = initialise(Small, [0, 1]), initialise(Small, [0, 1])
    train(reference, [0, 1], data, 0, **OPTIONS)
    replicas.parameters["fc1.weight"][1, 0, 0] = float("nan")
    train(replicas, [0, 1], data, 0, **OPTIONS)
    assert replicas.finite().tolist() == [True, False]
    assert all(torch.equal(replicas.parameters[name][0], tensor[0]) for name, tensor in reference.parameters.items())
    first, second = accuracy(replicas, data)
    assert first == accuracy(reference, data)[0]
    assert second != second


def test_batches_cover_every_sample_once_per_epoch_and_depend_on_seed_and_task_only():
    steps = list(batch_indices([3, 4], 1, SAMPLES, BATCH, 2))
    assert len(steps) == 2 * SAMPLES // BATCH
    epoch = torch.cat(steps[: SAMPLES // BATCH], 1)
    assert torch.equal(epoch.sort(1).values, torch.arange(SAMPLES).expand(2, -1))
    alone = list(batch_indices([4], 1, SAMPLES, BATCH, 2))
    assert all(torch.equal(a[0], b[1]) for a, b in zip(alone, steps, strict=True))
    other_task = list(batch_indices([3, 4], 2, SAMPLES, BATCH, 2))
    assert not any(torch.equal(a, b) for a, b in zip(steps, other_task, strict=True))


def test_accuracy_counts(data):
    replicas = initialise(Small, [0, 1])
    values = accuracy(replicas, data)
    for index in range(2):
        predicted = replicas.network(index)(to_inputs(data.images)).argmax(1)
        assert values[index] == (predicted == data.labels).sum().item() / SAMPLES


def test_take_repeats_and_copies():
    replicas = initialise(Small, [0, 1])
    taken = replicas.take([1, 1, 0])
    assert isinstance(taken, Replicas)
    taken.parameters["fc1.bias"][0] = 0
    assert torch.equal(taken.parameters["fc1.bias"][1], replicas.parameters["fc1.bias"][1])
    assert torch.equal(taken.parameters["fc1.bias"][2], replicas.parameters["fc1.bias"][0])
