"""Training on the first task continues from a checkpoint with the same bits."""

import pytest
import torch

from networks_under_test import NormalisedVector
from weight_importance.data.samples import Samples
from weight_importance.data.tasks.task import Task
from weight_importance.estimators.path import RECORDS, PathRecorder
from weight_importance.files.checkpoint import Checkpoint
from weight_importance.files.trained import AdamState, pack, pack_path
from weight_importance.learning.first_task import learn_first_task
from weight_importance.learning.replicas import initialise
from weight_importance.settings import Duration, Optimisation

EPOCHS = 3
OPTIMISATION = Optimisation(batch_size=10, learning_rate=1e-3)


@pytest.mark.parametrize(("classes", "reused"), [(None, False), ((0, 1, 2, 3), False), (None, True)])
def test_training_interrupted_after_every_epoch_gives_the_same_bits(classes, reused, tmp_path):
    class Killed(BaseException):
        pass

    class Deadly(Checkpoint):
        def due(self, seconds):
            return True

        def save(self, tensors):
            super().save(tensors)
            raise Killed

    torch.manual_seed(0)
    data = Samples(torch.randint(0, 256, (60, 4, 4), dtype=torch.uint8), torch.randint(4, (60,)))
    task = Task(data, data, data, classes)

    def learn(checkpoint):
        replicas, recorder = initialise(NormalisedVector, [5, 6]), PathRecorder([*RECORDS])
        if reused:
            means = {name: torch.full_like(value, 0.1) for name, value in replicas.parameters.items()}
            replicas.adam = AdamState(7, means, means)
        learn_first_task(
            replicas,
            [task] * 2,
            recorder,
            duration=Duration(epochs=EPOCHS),
            optimisation=OPTIMISATION,
            checkpoint=checkpoint,
        )
        assert replicas.adam.steps - 7 * reused == recorder.steps == EPOCHS * (60 // OPTIMISATION.batch_size)
        return pack(replicas.parameters | replicas.buffers, replicas.adam) | pack_path(recorder.recorded())

    uninterrupted, resumed, deaths = learn(None), None, 0
    while not resumed:
        try:
            resumed = learn(Deadly(tmp_path / "x.safetensors", {"code": "1"}))
        except Killed:
            deaths += 1
    assert deaths == EPOCHS - 1
    assert [*resumed] == [*uninterrupted]
    assert all(torch.equal(resumed[name], value) for name, value in uninterrupted.items())
