"""Tasks are views of data sets: disjoint splits, one exact transform per round, nothing lost."""

import pytest
import torch

from weight_importance.data.image_file import Dataset
from weight_importance.data.tasks import permuted, rotated, split, task_sequence, to_inputs
from weight_importance.runtime.errors import UserError

CPU = torch.device("cpu")


def make(seed: int, size=(28, 28)) -> Dataset:
    torch.manual_seed(seed)
    return Dataset(
        train_images=torch.randint(0, 256, (50, *size), dtype=torch.uint8),
        train_labels=torch.randint(10, (50,), dtype=torch.uint8),
        test_images=torch.randint(0, 256, (20, *size), dtype=torch.uint8),
        test_labels=torch.randint(10, (20,), dtype=torch.uint8),
    )


@pytest.fixture
def dataset() -> Dataset:
    return make(0)


def settings(kind="permuted", count=4, protocol="held_out"):
    return {
        "protocol": protocol,
        "tasks": {"kind": kind, "count": count} | ({"seed": 1} if kind == "permuted" else {}),
        "images": {"training": None, "validation": 10, "test": None},
    }


def test_splits_are_disjoint_and_validation_is_the_end_of_the_training_set(dataset):
    parts = split(dataset, None, 10)
    assert torch.equal(torch.cat([parts.training.images, parts.validation.images]), dataset.train_images)
    assert torch.equal(parts.validation.labels, dataset.train_labels[-10:].long())
    assert len(split(dataset, 7, 10).training) == 7
    assert torch.equal(parts.training.last(3).images, dataset.train_images[37:40])
    assert torch.equal(split(dataset, None, 10, 5).test.images, dataset.test_images[:5])


def test_the_published_protocol_trains_on_validation_images_too(dataset):
    tasks = task_sequence(settings(protocol="published"), [dataset], CPU)
    assert torch.equal(tasks.part(0, "training").images, dataset.train_images)
    assert torch.equal(tasks.part(0, "validation").images, dataset.train_images[-10:])


@pytest.mark.parametrize(("training", "validation"), [(None, 50), (41, 10), (None, 60)])
def test_a_data_set_that_is_too_small_is_refused(dataset, training, validation):
    with pytest.raises(UserError, match="the training set has 50 images"):
        split(dataset, training, validation)


def test_more_test_images_than_there_are_is_refused(dataset):
    with pytest.raises(UserError, match=r"images\.test is 21, but the test set has 20"):
        split(dataset, None, 10, 21)


@pytest.mark.parametrize("count", [0, 41])
def test_more_samples_than_there_are_is_refused(dataset, count):
    with pytest.raises(UserError, match="between 1 and 40"):
        split(dataset, None, 10).training.last(count)


def test_the_first_task_is_the_data_set_and_every_other_one_permutation_of_its_pixels(dataset):
    tasks = task_sequence(settings(), [dataset], CPU)
    assert torch.equal(tasks.part(0, "test").images, dataset.test_images)
    seen = set()
    for task in range(1, len(tasks)):
        order = tasks.transforms[task - 1].order
        assert torch.equal(order.sort().values, torch.arange(784))
        seen.add(tuple(order.tolist()))
        for name in ("training", "validation", "test"):
            part, plain = tasks.part(task, name), tasks.part(0, name)
            assert torch.equal(part.images.flatten(1), plain.images.flatten(1)[:, order])
            assert torch.equal(part.labels, plain.labels)
    assert len(seen) == 3


def test_permutations_depend_on_seed_and_round_only():
    assert torch.equal(permuted(1, 1, (28, 28)).order, permuted(1, 1, (28, 28)).order)
    assert not torch.equal(permuted(1, 1, (28, 28)).order, permuted(1, 2, (28, 28)).order)
    assert not torch.equal(permuted(1, 1, (28, 28)).order, permuted(2, 1, (28, 28)).order)


def test_rounds_go_through_all_data_sets_and_quarter_turns_are_exact(dataset):
    other = make(1)
    tasks = task_sequence(settings("rotated", 5), [dataset, other], CPU)
    assert len(tasks) == 5
    assert tasks.training_sizes() == [40] * 5
    for task, (source, quarters) in enumerate([(dataset, 0), (other, 0), (dataset, 1), (other, 1), (dataset, 2)]):
        part = tasks.part(task, "test")
        assert torch.equal(part.labels, source.test_labels.long())
        image = part.images[3]
        for row in range(28):
            for column in range(28):
                turned = {0: (row, column), 1: (column, 27 - row), 2: (27 - row, 27 - column)}[quarters]
                assert image[row, column] == source.test_images[3][turned]


def test_what_cannot_be_turned_is_refused(dataset):
    with pytest.raises(UserError, match="square images, found 28 × 20"):
        task_sequence(settings("rotated", 2), [make(0, (28, 20))], CPU)
    with pytest.raises(UserError, match="four tasks per data set"):
        rotated(4, 0, (28, 28))


def test_inputs_are_scaled_to_the_unit_interval():
    images = torch.tensor([[[0, 255], [51, 102]]], dtype=torch.uint8)
    torch.testing.assert_close(to_inputs(images), torch.tensor([[[[0, 1], [0.2, 0.4]]]]))
