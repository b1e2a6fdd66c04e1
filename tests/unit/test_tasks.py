"""Tasks are views of one data set: disjoint splits, one permutation per task, nothing lost."""

from types import SimpleNamespace

import pytest
import torch

from weight_importance.errors import UserError
from weight_importance.tasks import permuted, split, task_sequence, to_inputs


@pytest.fixture
def dataset():
    torch.manual_seed(0)
    return SimpleNamespace(
        train_images=torch.randint(0, 256, (50, 28, 28), dtype=torch.uint8),
        train_labels=torch.randint(10, (50,), dtype=torch.uint8),
        test_images=torch.randint(0, 256, (20, 28, 28), dtype=torch.uint8),
        test_labels=torch.randint(10, (20,), dtype=torch.uint8),
    )


def settings(count=4, training=None, validation=10, seed=1):
    return {
        "tasks": {"kind": "permuted", "count": count, "seed": seed},
        "images": {"training": training, "validation": validation},
    }


def test_splits_are_disjoint_and_validation_is_the_end_of_the_training_set(dataset):
    parts = split(dataset, None, 10)
    assert torch.equal(torch.cat([parts.training.images, parts.validation.images]), dataset.train_images)
    assert torch.equal(parts.validation.labels, dataset.train_labels[-10:].long())
    assert len(split(dataset, 7, 10).training) == 7
    assert torch.equal(parts.training.last(3).images, dataset.train_images[37:40])


@pytest.mark.parametrize(("training", "validation"), [(None, 50), (41, 10), (None, 60)])
def test_a_data_set_that_is_too_small_is_refused(dataset, training, validation):
    with pytest.raises(UserError, match="the training set has 50 images"):
        split(dataset, training, validation)


@pytest.mark.parametrize("count", [0, 41])
def test_more_samples_than_there_are_is_refused(dataset, count):
    with pytest.raises(UserError, match="between 1 and 40"):
        split(dataset, None, 10).training.last(count)


def test_the_first_task_is_the_data_set_and_every_other_one_permutation_of_its_pixels(dataset):
    tasks = task_sequence(settings(), dataset, torch.device("cpu"))
    assert torch.equal(tasks.part(0, "test").images, dataset.test_images)
    seen = set()
    for task in range(1, len(tasks)):
        order = tasks.transforms[task].order
        assert torch.equal(order.sort().values, torch.arange(784))
        seen.add(tuple(order.tolist()))
        for name in ("training", "validation", "test"):
            part, plain = tasks.part(task, name), tasks.part(0, name)
            assert torch.equal(part.images.flatten(1), plain.images.flatten(1)[:, order])
            assert torch.equal(part.labels, plain.labels)
    assert len(seen) == 3


def test_permutations_depend_on_seed_and_task_only():
    short, long, other = permuted(3, 1, 784), permuted(5, 1, 784), permuted(3, 2, 784)
    assert all(torch.equal(a.order, b.order) for a, b in zip(short[1:], long[1:], strict=False))
    assert not torch.equal(short[1].order, other[1].order)


def test_inputs_are_scaled_to_the_unit_interval():
    images = torch.tensor([[[0, 255], [51, 102]]], dtype=torch.uint8)
    torch.testing.assert_close(to_inputs(images), torch.tensor([[[[0, 1], [0.2, 0.4]]]]))
