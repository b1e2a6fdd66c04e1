"""Training on the first task continues from a checkpoint with the same bits."""

import pytest
import torch

from networks_under_test import NormalisedVector
from weight_importance.data.samples import Samples
from weight_importance.data.tasks.task import Task
from weight_importance.estimators.path import RECORDS, PathRecorder
from weight_importance.files.checkpoint import Checkpoint
from weight_importance.files.trained import pack, pack_path
from weight_importance.learning.first_task import learn_first_task
from weight_importance.learning.replicas import initialise
from weight_importance.settings import Optimisation

EPOCHS = 3
OPTIMISATION = Optimisation(batch_size=10, learning_rate=1e-3)


@pytest.mark.parametrize("classes", [None, (0, 1, 2, 3)])
def test_interrupted_after_every_epoch_the_bits_are_the_same(classes, tmp_path):
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
        learn_first_task(
            replicas, [task] * 2, recorder, epochs=range(EPOCHS), optimisation=OPTIMISATION, checkpoint=checkpoint
        )
        return pack(replicas.parameters | replicas.buffers, replicas.adam) | pack_path(recorder.recorded())

    whole, found, deaths = learn(None), None, 0
    while not found:
        try:
            found = learn(Deadly(tmp_path / "x.safetensors", {"code": "1"}))
        except Killed:
            deaths += 1
    assert deaths == EPOCHS - 1
    assert [*found] == [*whole]
    assert all(torch.equal(found[name], value) for name, value in whole.items())
