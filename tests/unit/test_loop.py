"""The training loop on a stack of replicas, against torch's optimiser on single networks."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from networks_under_test import NormalisedVector
from weight_importance.data.samples import Samples, to_inputs
from weight_importance.estimators.path import RECORDS, PathRecorder, Step
from weight_importance.learning.batches import OTHER_ORDER, batch_indices
from weight_importance.learning.evaluation import accuracy
from weight_importance.learning.loop import Options
from weight_importance.learning.loop import train as train_stack
from weight_importance.learning.penalty import Consolidation
from weight_importance.learning.replicas import initialise
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.seeding import derive, generator
from weight_importance.settings import Optimisation

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


class Normalised(nn.Module):
    """A network with batch normalisation, whose running statistics are buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(12, 4)

    def forward(self, images):
        return self.head(torch.tanh(self.norm(self.conv(images))).flatten(1))


@pytest.fixture
def data() -> Samples:
    torch.manual_seed(0)
    return Samples(torch.randint(0, 256, (SAMPLES, 4, 4), dtype=torch.uint8), torch.randint(4, (SAMPLES,)))


def single(build, seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(derive("initialisation", seed))
        return build()


def train_one(build, seed, data, task):
    """Train one network with torch's plain (single-tensor) Adam in a Python loop."""
    network = single(build, seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE, foreach=False, fused=False)
    for epoch in range(EPOCHS):
        order = torch.randperm(SAMPLES, generator=generator("batch order", seed, task, epoch))
        for indices in order.split(BATCH):
            optimiser.zero_grad()
            cross_entropy(network(to_inputs(data.images[indices])), data.labels[indices]).backward()
            optimiser.step()
    return {name: tensor.detach() for name, tensor in (*network.named_parameters(), *network.named_buffers())}


OPTIMISATION = Optimisation(batch_size=BATCH, learning_rate=RATE)


def train(replicas, data, task, epochs=EPOCHS, penalty=None, recorder=None, **options):
    """Train every replica on the same data."""
    train_stack(
        replicas, [data] * len(replicas), task, epochs=epochs, optimisation=OPTIMISATION, penalty=penalty,
        recorder=recorder, options=Options(**options),
    )  # fmt: skip


@pytest.mark.parametrize("build", [Small, Convolutional, Normalised, NormalisedVector])
@pytest.mark.parametrize("seeds", [[0, 1, 2], [7, 3]])
def test_a_stack_trains_like_single_networks(build, seeds, data):
    replicas = initialise(build, seeds)
    train(replicas, data, 2)
    state = replicas.parameters | replicas.buffers
    for index, seed in enumerate(seeds):
        expected = train_one(build, seed, data, 2)
        assert expected.keys() == state.keys()
        for name, tensor in expected.items():
            # the gradient of a bias before batch normalisation is rounding, which Adam scales to full steps
            if not (build in (Normalised, NormalisedVector) and name in ("conv.bias", "fc1.bias", "norm.running_mean")):
                torch.testing.assert_close(state[name][index], tensor, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("build", [Normalised, NormalisedVector])
def test_frozen_statistics_are_unchanged(build, data):
    replicas = initialise(build, [0, 1])
    train(replicas, data, 0)
    before = {name: buffer.clone() for name, buffer in replicas.buffers.items()}
    train(replicas, data, 1, freeze_statistics=True)
    assert all(torch.equal(buffer, before[name]) for name, buffer in replicas.buffers.items())
    train(replicas, data, 1)
    assert not torch.equal(replicas.buffers["norm.running_var"], before["norm.running_var"])
    assert replicas.buffers["norm.num_batches_tracked"].tolist() == [2 * EPOCHS * SAMPLES // BATCH] * 2


def test_a_task_smaller_than_a_batch_is_refused(data):
    with pytest.raises(UserError, match=r"batch_size is 61, but a task has 60"):
        train_stack(
            initialise(Small, [0]), [data], 0, epochs=1, optimisation=Optimisation(batch_size=61, learning_rate=RATE)
        )


@pytest.mark.parametrize("mates", [[], [1], [1, 2, 8], list(range(20, 29))])
@pytest.mark.parametrize("place", [0, -1])
def test_a_replica_has_the_same_bits_for_any_shard_mates_and_place(mates, place, data):
    def learn(seeds):
        replicas, recorder = initialise(Small, seeds), PathRecorder([*RECORDS])
        consolidation = Consolidation(torch.ones(len(seeds)), clamp_negative=False)
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        omega = {
            name: torch.stack([torch.rand(tensor.shape[1:], generator=draw) for draw in draws])
            for name, tensor in replicas.parameters.items()
        }
        consolidation.task_learnt(replicas.parameters, omega)
        train(replicas, data, 0, penalty=consolidation.penalty(), recorder=recorder)
        return replicas, recorder

    reference, expected = learn([5, 6])
    seeds = [*mates, 5] if place else [5, *mates]
    replicas, recorder = learn(seeds)
    recorded, expected = recorder.recorded(), expected.recorded()
    assert recorded.keys() == {*RECORDS, "displacement"}
    for name, tensor in reference.parameters.items():
        assert torch.equal(replicas.parameters[name][place], tensor[0]), name
        for record, values in recorded.items():
            assert torch.equal(values[name][place], expected[record][name][0]), (record, name)
    assert accuracy(replicas, [data] * len(replicas))[place] == accuracy(reference, [data] * len(reference))[0]


@pytest.mark.parametrize("build", [Small, Normalised, NormalisedVector])
def test_every_record_equals_that_of_an_independent_replay(build, data):
    """Path integrals with three gradients, means of gradients, RWalk's score and the displacement, by hand."""
    seeds = [3, 8]
    replicas = initialise(build, seeds)
    start = {name: tensor.clone() for name, tensor in replicas.parameters.items()}
    consolidation = Consolidation(torch.tensor([30.0, 30.0]), clamp_negative=False)
    ones = {name: torch.ones_like(tensor) for name, tensor in start.items()}
    consolidation.task_learnt({name: torch.zeros_like(tensor) for name, tensor in start.items()}, ones)
    recorder = PathRecorder([*RECORDS])
    train(replicas, data, 1, penalty=consolidation.penalty(), recorder=recorder)
    recorded = recorder.recorded()

    network = single(build, 8)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE, foreach=False, fused=False)
    rows = {
        name: {record: torch.zeros_like(tensor[1]).double() for record in RECORDS} for name, tensor in start.items()
    }
    fisher, at_start, interval = {}, {}, {name: [0.0, 0.0] for name in start}

    def gradients(indices):
        loss = cross_entropy(network(to_inputs(data.images[indices])), data.labels[indices])
        return dict(zip(start, torch.autograd.grad(loss, list(network.parameters())), strict=True))

    arguments = ([8], 1, [SAMPLES], BATCH, range(EPOCHS))
    orders = zip(batch_indices(*arguments), batch_indices(*arguments, purpose=OTHER_ORDER), strict=True)
    for number, ((own,), (other,)) in enumerate(orders, start=1):
        assert not torch.equal(own, other)
        kept = [buffer.clone() for buffer in network.buffers()]
        independent = gradients(other)
        for buffer, value in zip(network.buffers(), kept, strict=True):
            buffer.copy_(value)
        gradient = gradients(own)
        before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        for name, parameter in network.named_parameters():
            parameter.grad = gradient[name] + 60 * parameter.detach()
        optimiser.step()
        for name, parameter in network.named_parameters():
            moved, g = (parameter.detach() - before[name]).double(), gradient[name].double()
            row = rows[name]
            row["path_integral"] -= g * moved
            row["penalised_path_integral"] -= parameter.grad.double() * moved
            row["independent_path_integral"] -= independent[name].double() * moved
            row["absolute_gradient"] += g.abs() / 18
            row["squared_gradient"] += 0.001 * 0.999 ** (18 - number) * g**2 / (1 - 0.999**18)
            row["rwalk_fisher"] = fisher[name] = 0.9 * g**2 + 0.1 * fisher[name] if number > 1 else g**2
            if number in (1, 11):
                at_start[name] = fisher[name]
            interval[name] = [interval[name][0] - g * moved, interval[name][1] + moved]
            if number % 10 == 0:
                fall, way = interval[name]
                row["rwalk_score"] += (fall / (at_start[name] * way**2 / 2 + 1e-3)).clamp_min(0)
                interval[name] = [0.0, 0.0]
    assert number == 18, "an interval is left incomplete"
    for name, row in rows.items():
        moved = replicas.parameters[name] - start[name]
        torch.testing.assert_close(recorded["displacement"][name], moved, rtol=1e-4, atol=1e-6)
        if build is not Small and name in ("conv.bias", "fc1.bias"):
            continue  # the gradient of a bias before batch normalisation is rounding
        for record, expected in row.items():
            actual = recorded[record][name][1].double()
            assert (actual - expected).abs().max() <= 2e-3 * expected.abs().max() + 1e-9, (record, name)


@pytest.mark.parametrize("build", [Small, Normalised, NormalisedVector])
def test_the_independent_batch_changes_only_the_record(build, data):
    plain, recorded = initialise(build, [0, 1]), initialise(build, [0, 1])
    train(plain, data, 0)
    train(recorded, data, 0, recorder=PathRecorder(["independent_path_integral"]))
    for name, tensor in (plain.parameters | plain.buffers).items():
        assert torch.equal((recorded.parameters | recorded.buffers)[name], tensor), name


def test_a_recorder_continues_from_earlier_steps():
    """Some single steps followed by steps in the memory of a training equal all single steps."""
    whole, parts = (PathRecorder(["squared_gradient", "rwalk_score"]) for _ in range(2))
    torch.manual_seed(0)
    gradients, displacements = torch.randn(2, 14, 5)
    for g, d in zip(gradients, displacements, strict=True):
        whole.step({"w": g}, {"w": d})
    for g, d in zip(gradients[:4], displacements[:4], strict=True):
        parts.step({"w": g}, {"w": d})
    states = parts.states({"w": torch.zeros(5)})
    for number, (g, d) in enumerate(zip(gradients[4:], displacements[4:], strict=True), start=5):
        parts.take_in(Step(number, g, g, None, d), [state["w"] for state in states])
    parts.put(states, {"w": displacements[4:].sum(0)}, 10)
    assert parts.steps == 14
    for record, values in whole.recorded().items():
        torch.testing.assert_close(parts.recorded()[record]["w"], values["w"])


def test_a_diverged_replica_affects_no_other(data):
    reference, replicas = initialise(Small, [0, 1]), initialise(Small, [0, 1])
    train(reference, data, 0)
    replicas.parameters["fc1.weight"][1, 0, 0] = float("nan")
    train(replicas, data, 0)
    assert replicas.finite().tolist() == [True, False]
    assert all(torch.equal(replicas.parameters[name][0], tensor[0]) for name, tensor in reference.parameters.items())
    first, second = accuracy(replicas, [data] * len(replicas))
    assert first == accuracy(reference, [data] * len(reference))[0]
    assert second != second


def test_batches_cover_every_sample_once_per_epoch_and_depend_only_on_seed_and_task():
    steps = list(batch_indices([3, 4], 1, [SAMPLES] * 2, BATCH, range(2)))
    assert len(steps) == 2 * SAMPLES // BATCH
    epoch = torch.cat(steps[: SAMPLES // BATCH], 1)
    assert torch.equal(epoch.sort(1).values, torch.arange(SAMPLES).expand(2, -1))
    alone = list(batch_indices([4], 1, [SAMPLES], BATCH, range(2)))
    assert all(torch.equal(a[0], b[1]) for a, b in zip(alone, steps, strict=True))
    other_task = list(batch_indices([3, 4], 2, [SAMPLES] * 2, BATCH, range(2)))
    assert not any(torch.equal(a, b) for a, b in zip(steps, other_task, strict=True))


@pytest.mark.parametrize("build", [Small, Normalised])
def test_label_smoothing_is_that_of_torch(build, data):
    learnt = {}
    for smoothing in (None, 0.0, 0.2):
        replicas = initialise(build, [0])
        train(replicas, data, 0, **({} if smoothing is None else {"label_smoothing": smoothing}))
        learnt[smoothing] = replicas.parameters
    network = single(build, 0)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE, foreach=False, fused=False)
    for epoch in range(EPOCHS):
        order = torch.randperm(SAMPLES, generator=generator("batch order", 0, 0, epoch))
        for indices in order.split(BATCH):
            logits = network(to_inputs(data.images[indices]))
            optimiser.zero_grad()
            cross_entropy(logits, data.labels[indices], label_smoothing=0.2).backward()
            optimiser.step()
    for name, parameter in network.named_parameters():
        assert torch.equal(learnt[None][name], learnt[0.0][name]), "the same bits without smoothing"
        if not (build is Normalised and name == "conv.bias"):  # its gradient is rounding
            torch.testing.assert_close(learnt[0.2][name][0], parameter.detach(), rtol=1e-4, atol=2e-6)
            assert not torch.equal(learnt[0.2][name], learnt[0.0][name])


def test_training_epoch_by_epoch_gives_the_same_bits(data):
    whole, parts = initialise(Normalised, [3, 5]), initialise(Normalised, [3, 5])
    train(whole, data, 1)
    for epoch in range(EPOCHS):
        train(parts, data, 1, epochs=1, first_epoch=epoch, carry_adam=epoch > 0)
    for name, value in (whole.parameters | whole.buffers).items():
        assert torch.equal((parts.parameters | parts.buffers)[name], value), name


def test_each_seed_learns_its_samples(data):
    """Seeds with different tasks have the same bits as alone."""
    other = Samples(data.stored.flip(0), data.labels)
    together = initialise(Small, [0, 1])
    train_stack(together, [data, other], 0, epochs=EPOCHS, optimisation=OPTIMISATION)
    for index, samples in enumerate([data, other]):
        alone = initialise(Small, [index])
        train(alone, samples, 0)
        assert all(torch.equal(together.parameters[name][index], value[0]) for name, value in alone.parameters.items())
        assert accuracy(together, [data, other])[index] == accuracy(alone, [samples])[0]
