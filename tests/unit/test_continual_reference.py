"""Every setting of retention against a naive reference run: weights, accumulated importance, every accuracy."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from continual_package import kept_in, package_run
from continual_reference import Settings, continual_run
from weight_importance.data.image_file import Dataset
from weight_importance.files.checkpoint import Checkpoint
from weight_importance.runtime.seeding import generator

SEEDS, STRENGTHS, CLASSES, PIXELS = [3, 8], [0.5, 64.0], 3, 4


class Small(nn.Module):
    """A small network in float64, so that rounding is far below the effect of any mistake."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.fc1 = nn.Linear(PIXELS * PIXELS, 8)
        self.fc2 = nn.Linear(8, classes)
        self.double()

    def forward(self, images):
        return self.fc2(torch.tanh(self.fc1(images.double().flatten(1))))


class Normalised(nn.Module):
    """A convolution and batch normalisation with a large eps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 2, bias=False)
        self.norm = nn.BatchNorm2d(3, eps=1e-2)
        self.head = nn.Linear(27, CLASSES)
        self.double()

    def forward(self, images):
        return self.head(torch.tanh(self.norm(self.conv(images.double()))).flatten(1))


def make(seed: int, classes: int = CLASSES, sizes: tuple[int, int] = (58, 31)) -> Dataset:
    """Noisy images that networks misclassify at times, different in every split."""
    draw = torch.Generator().manual_seed(seed)
    patterns = torch.rand(classes, PIXELS, PIXELS, generator=draw)

    def some(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.randint(classes, (count,), generator=draw)
        images = 110 * patterns[labels] + 145 * torch.rand(count, PIXELS, PIXELS, generator=draw)
        return images.to(torch.uint8), labels.to(torch.uint8)

    return Dataset(*(tensor for size in sizes for tensor in some(size)))


ONE, TWO = [make(0)], [make(1), make(2)]


def compare(build, datasets, s: Settings, *ablate, runs=None) -> None:
    runs = runs or package_run(build, datasets, SEEDS, STRENGTHS, s)
    assert {*runs} == {(seed, strength) for seed in SEEDS for strength in STRENGTHS}
    for (seed, strength), run in runs.items():
        expected = continual_run(build, datasets, seed, strength, s, *ablate)
        for learnt, values in run.weights.items():
            for kind, observed, reference in (
                ("weight", values, expected.weights[learnt]),
                ("importance", run.importance[learnt], expected.importance[learnt]),
            ):
                assert observed.keys() == reference.keys()
                for name, truth in reference.items():
                    # relative per entry, except for entries that are differences of much larger numbers
                    error = (observed[name] - truth).abs() / (truth.abs() + 1e-6 * truth.abs().max()).clamp_min(1e-30)
                    assert error.max() < 1e-6, (kind, name, learnt, seed, strength, error.max())
        assert run.accuracies == expected.accuracies, (seed, strength)
        tasks = range(1, s.count + 1)
        last = {
            split: [expected.accuracies[s.count, task, split] for task in tasks] for split in ("validation", "test")
        }
        assert last["validation"] != last["test"]


BASE = Settings()
PUBLISHED = {"train_on_validation": True, "carry_adam": True, "penalised_path": True, "training": None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"estimators": ()},
        {"penalty": "stabilised"},
        {"penalty": "halved", "carry_adam": True},
        {"accumulation": "per_task"},
        {"accumulation": "per_task", "penalty": "halved", "estimators": ("si",)},
        {"estimators": (), "joint": True, "images": 22},
        {"iterations": 13},
        {"accumulation": "mean"},
        {"accumulation": "online", "decay": 0.25},
        {"task_weights": "equal", "estimators": ("onaf",), "penalty": "stabilised"},
        {"task_weights": "equal", "estimators": ("si",), "clamp_negative": False, "accumulation": "mean"},
        {"task_weights": "equal", "estimators": ("si",), "accumulation": "per_task"},
        {"accumulation": "online", "decay": 0.25, "penalty": "stabilised", "estimators": ("si",)},
        {"images": 22, "after_every_task": False},
        {"estimators": ("si",), "clamp_negative": False},
        {"estimators": ("si",), "clamp_negative": False, "images": 22, "accumulation": "mean"},
        {"estimators": ("fisher_sampled",)},
        {"estimators": ("si",), "tasks_seed": None},
        {"estimators": (), "tasks_seed": None, "joint": True},
        {"estimators": ("fisher_empirical",), "tasks_seed": 5, "test": None, "training": 46},
        {"kind": "rotated"},
        {"estimators": ("si",)} | PUBLISHED,
        {"estimators": ("fisher_exact",), "images": 22} | PUBLISHED,
        {"estimators": ("rwalk",)} | PUBLISHED,
        {"carry_adam": True},
        {"estimators": ("si",), "penalised_path": True},
        {"train_on_validation": True, "training": 55},
    ],
    ids=str,
)
def test_every_setting_gives_the_numbers_of_the_reference(changes):
    compare(Small, ONE, replace(BASE, **changes))


@pytest.mark.parametrize(
    "estimator", ["si", "si_penalised", "si_unbiased", "si_undivided", "onaf", "sos", "squisher", "rwalk"]
)
def test_path_estimators_over_several_epochs(estimator):
    """Five epochs of five steps: RWalk's intervals of ten steps span epochs, and the last is incomplete."""
    compare(Small, ONE, replace(BASE, estimators=(estimator,), epochs=5, later_epochs=5, clamp_negative=False, count=3))


SPLIT = replace(
    BASE, kind="split", count=3, training=110, validation=45, test=None, images=None, later_epochs=3, batch_size=8
)


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"estimators": ("si",), "order": "per_seed", "iterations": 17, "carry_adam": True},
        {"estimators": ("fisher_exact",), "accumulation": "per_task", "order": "per_seed", "iterations": 9},
        {"estimators": (), "joint": True, "order": "per_seed", "iterations": 17},
        {"estimators": (), "joint": True, "carry_adam": True},
    ],
    ids=str,
)
def test_split_tasks_in_three_scenarios(scenario, changes):
    compare(partial(Small, 6), [make(4, 6, (170, 90))], replace(SPLIT, scenario=scenario, **changes))


@pytest.mark.parametrize("batch_norm", ["running", "frozen"])
@pytest.mark.parametrize("estimator", ["mas", "si_unbiased"])
def test_batch_normalisation_and_several_data_sets(batch_norm, estimator):
    changes = {"estimators": (estimator,), "batch_norm": batch_norm, "kind": "rotated", "count": 5}
    compare(Normalised, TWO, replace(BASE, **changes))


def mean_of_network(importances, seed):
    mean = torch.cat([values.flatten() for values in importances[0].values()]).mean()
    return {name: torch.full_like(values, mean.item()) for name, values in importances[0].items()}


def mean_of_tensor(importances, seed):
    return {name: torch.full_like(values, values.mean().item()) for name, values in importances[0].items()}


def root(importances, seed):
    return {name: values.sqrt() * values.mean() / values.sqrt().mean() for name, values in importances[0].items()}


def values_in_ranks(importances, seed):
    placed = {}
    for name, values in importances[0].items():
        order = importances[1][name].flatten().argsort()
        placed[name] = torch.empty_like(values.flatten())
        placed[name][order] = values.flatten().sort().values
        placed[name] = placed[name].view_as(values)
    return placed


def shuffled(importances, seed):
    """One permutation per network and tensor, for all tasks."""
    placed = {}
    for name, values in importances[0].items():
        draw = generator(f"control shuffled(mas)/{name}", seed, 0)
        placed[name] = values.flatten()[torch.randperm(values.numel(), generator=draw)].view_as(values)
    return placed


@pytest.mark.parametrize(
    ("ablation", "estimators", "reference"),
    [
        ("uniform(mas)", ("mas",), mean_of_network),
        ("tensor_mean(fisher_sampled)", ("fisher_sampled",), mean_of_tensor),
        ("power_0.5(fisher_exact)", ("fisher_exact",), root),
        ("tensor_mean(si)", ("si",), mean_of_tensor),
        ("shuffled(mas)", ("mas",), shuffled),
        ("values_of(si_undivided)_in_ranks_of(mas)", ("si_undivided", "mas"), values_in_ranks),
    ],
)
def test_an_ablation_weights_the_penalty_of_every_task(ablation, estimators, reference):
    compare(Small, ONE, replace(BASE, ablation=ablation, estimators=estimators), reference)


class Killed(BaseException):
    pass


class Deadly(Checkpoint):
    """A checkpoint whose job is killed after every save."""

    def save(self, tensors):
        super().save(tensors)
        raise Killed


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulation": "mean"},
        {"estimators": ("si",), "accumulation": "online", "decay": 0.5} | PUBLISHED,
        {"estimators": ("fisher_sampled",), "batch_norm": "frozen"},
        {"accumulation": "per_task"},
    ],
    ids=str,
)
def test_runs_resumed_after_every_task_equal_the_reference(changes, tmp_path):
    build = Normalised if "batch_norm" in changes else Small
    s = replace(BASE, count=5, **changes)
    for _ in range(3):
        with pytest.raises(Killed):
            package_run(build, ONE, SEEDS, STRENGTHS, s, kept_in(tmp_path, Deadly))
    runs = package_run(build, ONE, SEEDS, STRENGTHS, s, kept_in(tmp_path, Deadly))
    compare(build, ONE, s, runs=runs)
