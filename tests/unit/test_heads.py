"""A head selects logits per replica; all other code sees a network with the same parameters."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from networks_under_test import NormalisedVector as Small
from weight_importance.data.samples import Samples, to_inputs
from weight_importance.data.tasks.task import Task
from weight_importance.learning.batches import batch_indices
from weight_importance.learning.evaluation import accuracy
from weight_importance.learning.heads import heads
from weight_importance.learning.importance import stacked_importances
from weight_importance.learning.loop import train
from weight_importance.learning.replicas import initialise
from weight_importance.settings import Optimisation

SEEDS = [3, 5]
CLASSES = [(2, 0), (1, 3)]
OPTIMISATION = Optimisation(batch_size=10, learning_rate=1e-2)


@pytest.fixture
def tasks() -> list[Task]:
    random = torch.Generator().manual_seed(0)

    def samples() -> Samples:
        images = torch.randint(0, 256, (40, 4, 4), dtype=torch.uint8, generator=random)
        return Samples(images, torch.randint(2, (40,), generator=random))

    return [Task(samples(), samples(), samples(), classes) for classes in CLASSES]


def selected(replicas, replica: int, samples: Samples) -> torch.Tensor:
    """The logits of a task's classes, without a head."""
    network = replicas.network(replica).eval()
    return network(to_inputs(samples.images))[:, list(CLASSES[replica])]


def test_each_replica_is_evaluated_on_its_classes_and_samples(tasks):
    replicas = initialise(Small, SEEDS)
    with heads(replicas, tasks) as headed:
        values = accuracy(headed, [task.test for task in tasks])
    for replica, (task, value) in enumerate(zip(tasks, values, strict=True)):
        predicted = selected(replicas, replica, task.test).argmax(1)
        assert value == (predicted == task.test.labels).sum().item() / 40


def test_training_with_a_head_uses_the_selected_logits_and_leaves_no_head(tasks):
    replicas = initialise(Small, SEEDS)
    names, state = [*replicas.buffers], initialise(Small, SEEDS)
    with heads(replicas, tasks) as headed:
        train(headed, [task.training for task in tasks], 1, epochs=2, optimisation=OPTIMISATION)
    assert [*replicas.buffers] == names and replicas.adam.steps == 8
    for replica, (seed, task) in enumerate(zip(SEEDS, tasks, strict=True)):
        network = state.network(replica).train()
        adam = torch.optim.Adam(network.parameters(), lr=1e-2)
        for (indices,) in batch_indices([seed], 1, [40], 10, range(2)):
            logits = network(to_inputs(task.training.images[indices]))[:, list(CLASSES[replica])]
            adam.zero_grad()
            cross_entropy(logits, task.training.labels[indices]).backward()
            adam.step()
        for name, parameter in network.named_parameters():
            if name != "fc1.bias":  # before batch normalisation, its gradient is rounding
                torch.testing.assert_close(replicas.parameters[name][replica], parameter.detach(), rtol=1e-3, atol=2e-5)


def test_importances_of_other_classes_are_zero(tasks):
    replicas = initialise(Small, SEEDS)
    with heads(replicas, tasks) as headed:
        importance = stacked_importances(["mas"], headed, [task.training for task in tasks], (0,))["mas"]
    assert importance.keys() == replicas.parameters.keys()
    for replica, classes in enumerate(CLASSES):
        rows = importance["fc2.bias"][replica]
        assert [index for index in range(len(rows)) if rows[index] > 0] == sorted(classes)


def test_tasks_of_all_outputs_need_no_head(tasks):
    replicas = initialise(Small, SEEDS)
    with heads(replicas, [Task(task.training, task.validation, task.test) for task in tasks]) as headed:
        assert headed is replicas
