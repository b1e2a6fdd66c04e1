"""Split tasks: every class in one task, labels and outputs by scenario, class order per network."""

import pytest
import torch

from weight_importance.data.image_file import Dataset
from weight_importance.data.tasks.registry import first_tasks, sequences
from weight_importance.data.tasks.task import PARTS, plain_task
from weight_importance.runtime.errors import UserError
from weight_importance.settings import SplitTasks

SCENARIOS = ("task", "domain", "class")


def settings(**changes) -> SplitTasks:
    return SplitTasks(**{"kind": "split", "count": 3, "classes": 2, "scenario": "task", "order": "fixed"} | changes)


@pytest.fixture
def plain():
    """Images whose first pixel is their class."""
    draw = torch.Generator().manual_seed(0)

    def some(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.randint(6, (count,), generator=draw, dtype=torch.uint8)
        images = torch.randint(256, (count, 3, 3), generator=draw, dtype=torch.uint8)
        images[:, 0, 0] = labels
        return images, labels

    return plain_task(Dataset(*some(200), *some(80)), 150, 50)


@pytest.mark.parametrize("order", ["fixed", "per_seed"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_output_at_a_label_is_that_of_its_class(plain, scenario, order):
    for tasks in sequences(settings(scenario=scenario, order=order), [plain], [3, 4]):
        for part in PARTS:
            seen = []
            for number, task in enumerate(tasks):
                samples = task.part(part)
                classes = samples.images[:, 0, 0].long()
                labels = samples.labels if scenario == "domain" else torch.tensor(task.classes)[samples.labels]
                if scenario == "domain":  # the outputs are those of the first two classes in every task
                    assert task.classes == (0, 1)
                    assert len({*zip(classes.tolist(), labels.tolist(), strict=True)}) == 2
                else:
                    assert torch.equal(labels, classes)
                    assert len(task.classes) == (2 if scenario == "task" else 2 * (number + 1))
                seen.append({*classes.tolist()})
            assert [len(classes) for classes in seen] == [2, 2, 2] and set.union(*seen) == {*range(6)}
            assert sum(len(task.part(part)) for task in tasks) == len(plain.part(part)), "no image is lost"


def test_samples_of_a_task_are_in_the_order_of_the_data_set(plain):
    [[task, *_]] = sequences(settings(), [plain], [0])
    kept = plain.training.labels < 2
    assert torch.equal(task.training.images, plain.training.images[kept])
    assert torch.equal(task.training.labels, plain.training.labels[kept])


def test_the_class_order_is_fixed_or_depends_only_on_the_seed(plain):
    first, second = sequences(settings(), [plain], [3, 4])
    assert first is second and [task.classes for task in first] == [(0, 1), (2, 3), (4, 5)]
    orders = {
        seed: [task.classes for task in tasks]
        for seed, tasks in zip(range(8), sequences(settings(order="per_seed"), [plain], range(8)), strict=True)
    }
    assert len({*map(tuple, orders.values())}) > 4
    [alone] = sequences(settings(order="per_seed"), [plain], [5])
    assert [task.classes for task in alone] == orders[5]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_after_later_tasks_only_the_class_scenario_has_more_outputs(plain, scenario):
    [tasks] = sequences(settings(scenario=scenario), [plain], [0])
    judged = tasks[0].after(tasks[2])
    assert judged.classes == ((0, 1, 2, 3, 4, 5) if scenario == "class" else (0, 1))
    assert judged.test is tasks[0].test


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_first_task_is_independent_of_the_others(plain, scenario):
    whole = settings(scenario=scenario, order="per_seed")
    expected = [tasks[0] for tasks in sequences(whole, [plain], [3, 4])]
    for task, other in zip(first_tasks(whole.first(), plain, [3, 4]), expected, strict=True):
        assert task.classes == other.classes
        for part in PARTS:
            assert torch.equal(task.part(part).images, other.part(part).images)
            assert torch.equal(task.part(part).labels, other.part(part).labels)
    assert "count" not in whole.first().model_dump()


def test_too_few_classes_or_images_are_refused(plain):
    with pytest.raises(UserError, match=r"tasks\.count is 4 and tasks\.classes is 2, but the data set has 6 classes"):
        sequences(settings(count=4), [plain], [0])
    few = plain_task(Dataset(*(tensor[:40] for tensor in (plain.training.stored, plain.training.labels.byte())),
                             plain.test.stored[:1], plain.test.labels[:1].byte()))  # fmt: skip
    with pytest.raises(UserError, match="there are no test images of the classes"):
        sequences(settings(), [few], [0])
