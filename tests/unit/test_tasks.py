"""Tasks are views of data sets: parts by position, one exact transform per round."""

import pytest
import torch

from weight_importance.data.image_file import Dataset, common_form
from weight_importance.data.tasks.permuted import permutation
from weight_importance.data.tasks.registry import first_tasks, sequences
from weight_importance.data.tasks.task import PARTS, plain_task
from weight_importance.runtime.errors import UserError
from weight_importance.settings import PermutedTasks, RotatedTasks

PERMUTED = PermutedTasks(kind="permuted", count=4, seed=1)


def make(seed: int, shape=(28, 28)) -> Dataset:
    torch.manual_seed(seed)
    return Dataset(
        train_images=torch.randint(0, 256, (50, *shape), dtype=torch.uint8),
        train_labels=torch.randint(10, (50,), dtype=torch.uint8),
        test_images=torch.randint(0, 256, (20, *shape), dtype=torch.uint8),
        test_labels=torch.randint(10, (20,), dtype=torch.uint8),
    )


@pytest.fixture
def dataset() -> Dataset:
    return make(0)


def test_the_parts_of_a_task_by_position(dataset):
    """The first training, the last validation images, and evenly spaced test images."""
    task = plain_task(dataset, 30, 10, 5)
    assert torch.equal(task.training.images, dataset.train_images[:30])
    assert torch.equal(task.training.labels, dataset.train_labels[:30].long())
    assert torch.equal(task.validation.images, dataset.train_images[40:])
    assert torch.equal(task.validation.labels, dataset.train_labels[40:].long())
    assert torch.equal(task.test.images, dataset.test_images[::4])
    assert torch.equal(task.test.labels, dataset.test_labels[::4].long())
    for validation in (0, 20):
        assert torch.equal(plain_task(dataset, 30, validation).training.images, task.training.images)
    assert [len(plain_task(dataset).part(part)) for part in PARTS] == [50, 0, 20]
    assert task.training.stored.data_ptr() == dataset.train_images.data_ptr(), "a view"


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ({"training": 51}, "images.training is 51, but the training set has 50"),
        ({"validation": 51}, "images.validation is 51, but the training set has 50"),
        ({"test": 21}, "images.test is 21, but the test set has 20"),
        ({"training": 41, "validation": 10, "train_on_validation": False}, "lower one of them"),
        ({"validation": 1, "train_on_validation": False}, "images.training is 50 and images.validation is 1"),
    ],
)
def test_a_data_set_that_is_too_small_is_refused(dataset, sizes, text):
    with pytest.raises(UserError, match=text):
        plain_task(dataset, **sizes)


def test_training_can_include_validation_images(dataset):
    task = plain_task(dataset, None, 10, train_on_validation=True)
    assert torch.equal(task.training.images[40:], task.validation.images)


@pytest.mark.parametrize("shape", [(28, 28), (3, 6, 5)])
def test_the_first_task_is_the_data_set_and_each_other_a_permutation_of_its_pixels(shape):
    dataset = make(0, shape)
    [tasks, same] = sequences(PERMUTED, [plain_task(dataset, 40, 10)], [0, 1])
    assert same is tasks and len(tasks) == 4
    assert torch.equal(tasks[0].test.images, dataset.test_images)
    seen = set()
    for number, task in enumerate(tasks[1:], start=1):
        order = permutation(number, 1, shape[-2:]).order
        assert torch.equal(order.sort().values, torch.arange(shape[-1] * shape[-2]))
        seen.add(tuple(order.tolist()))
        for part in PARTS:
            moved, plain = task.part(part), tasks[0].part(part)
            assert torch.equal(moved.images.flatten(-2), plain.images.flatten(-2)[..., order])
            assert torch.equal(moved.labels, plain.labels)
    assert len(seen) == 3


def test_without_a_seed_networks_have_different_permutations_of_shared_images(dataset):
    plain, settings = plain_task(dataset, 40, 10), PermutedTasks(kind="permuted", count=3, seed=None)
    first, second, again = sequences(settings, [plain], [7, 8, 7])
    assert first is again and first[0] is second[0] is plain
    for number in (1, 2):
        assert not torch.equal(first[number].test.images, second[number].test.images)
        [[*_, alone]] = sequences(PermutedTasks(kind="permuted", count=number + 1, seed=8), [plain], [0])
        assert torch.equal(second[number].test.images, alone.test.images)
        for task in (first[number], second[number]):
            assert task.training.stored.data_ptr() == dataset.train_images.data_ptr()
            chosen = torch.tensor([3, 1, 3])
            assert torch.equal(task.training.images_at(chosen), task.training.images[chosen])


def test_permutations_depend_only_on_seed_and_round():
    first = permutation(1, 1, (28, 28)).order
    assert torch.equal(first, permutation(1, 1, (28, 28)).order)
    assert not torch.equal(first, permutation(1, 2, (28, 28)).order)
    assert not torch.equal(first, permutation(2, 1, (28, 28)).order)


def test_rounds_cycle_through_data_sets_and_rotations_are_exact(dataset):
    other = make(1)
    settings = RotatedTasks(kind="rotated", count=5)
    [tasks] = sequences(settings, [plain_task(each, 40, 10) for each in (dataset, other)], [0])
    assert [len(task.training) for task in tasks] == [40] * 5
    expected = [(dataset, 0), (other, 0), (dataset, 1), (other, 1), (dataset, 2)]
    for task, (source, quarters) in zip(tasks, expected, strict=True):
        assert torch.equal(task.test.labels, source.test_labels.long())
        image = task.test.images[3]
        for row in range(28):
            for column in range(28):
                turned = {0: (row, column), 1: (column, 27 - row), 2: (27 - row, 27 - column)}[quarters]
                assert image[row, column] == source.test_images[3][turned]


@pytest.mark.parametrize("settings", [PERMUTED, RotatedTasks(kind="rotated", count=3)])
def test_the_first_task_is_independent_of_the_others(settings, dataset):
    plain = plain_task(dataset, 40, 10)
    [[task, *_]] = sequences(settings, [plain, plain_task(make(1), 40, 10)], [0])
    for first in first_tasks(settings.first(), plain, [0, 1]):
        for part in PARTS:
            assert torch.equal(first.part(part).images, task.part(part).images)


def test_images_that_are_not_square_cannot_be_rotated():
    with pytest.raises(UserError, match="square images, found 28 × 20"):
        sequences(RotatedTasks(kind="rotated", count=2), [plain_task(make(0, (28, 20)))], [0])


def test_a_network_fits_all_data_sets_of_a_study(dataset):
    few = Dataset(dataset.train_images, dataset.train_labels.clamp(max=3), dataset.test_images, dataset.test_labels)
    assert few.classes == 4
    assert common_form([few, dataset]) == ((1, 28, 28), 10)
    assert make(0, (3, 6, 5)).shape == (3, 6, 5)
    with pytest.raises(UserError, match="different shapes"):
        common_form([dataset, make(0, (3, 28, 28))])
