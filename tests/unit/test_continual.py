"""Retention in blocks: what memory holds at once changes no result."""

import pytest
import torch

from weight_importance.continual import Learning, blocks, retention
from weight_importance.image_file import Dataset
from weight_importance.networks import MLP
from weight_importance.replicas import initialise
from weight_importance.tasks import task_sequence

LEARNING = Learning(
    samples=20, images=None, epochs=1, batch_size=10, learning_rate=1e-3, clamp_negative=True, penalty="plain",
    batch_norm="running", published=False,
)  # fmt: skip
STRENGTHS = [0.1, 10.0, 1000.0]
SEEDS = [3, 4]


@pytest.fixture(scope="module")
def tasks():
    torch.manual_seed(0)
    labels = torch.randint(10, (80,))
    images = (torch.rand(80, 28, 28) * 100 + labels[:, None, None] * 15).to(torch.uint8)
    settings = {
        "protocol": "held_out",
        "tasks": {"kind": "permuted", "count": 3, "seed": 1},
        "images": {"training": 60, "validation": 20, "test": 80},
    }
    return task_sequence(settings, [Dataset(images, labels, images, labels)], torch.device("cpu"))


def learn(tasks, estimator, most_bytes=None):
    baseline = initialise(MLP, SEEDS)
    importance = {name: torch.rand_like(tensor) for name, tensor in baseline.parameters.items()}
    torch.manual_seed(1)
    return retention(
        baseline, SEEDS, STRENGTHS, estimator, importance if estimator else None, tasks, LEARNING, None, most_bytes
    )


@pytest.mark.parametrize("estimator", ["mas", "si", None])
@pytest.mark.parametrize("most_bytes", [1, 40 * 2**20, 60 * 2**20])
def test_blocks_change_neither_results_nor_their_order(estimator, most_bytes, tasks):
    """One replica at a time, two of a seed's three, and a seed."""
    torch.manual_seed(2)
    whole = learn(tasks, estimator)
    torch.manual_seed(2)
    assert learn(tasks, estimator, most_bytes) == whole
    assert len(whole) == len(SEEDS) * len(STRENGTHS) * 2 * (1 + 2 + 3)
    assert len({seen.accuracy for seen in whole}) > 5


@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize("strengths", [1, 3, 4])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 100])
def test_blocks_cover_the_grid_once_and_keep_to_the_bound(seeds, strengths, most):
    cells = []
    for rows, columns in blocks(seeds, strengths, most):
        assert 1 <= len(rows) * len(columns) <= most
        cells += [(row, column) for row in rows for column in columns]
    assert sorted(cells) == [(row, column) for row in range(seeds) for column in range(strengths)]
