"""Other libraries in the measurement of common networks: correct on a residual network, or a stated failure."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models import networks, ways
from models.networks import Case
from speed.importances import TOLERANCE, error_of
from weight_importance.runtime.errors import UserError


class Residual(nn.Module):
    """A residual block as of ResNet: its sum is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.second, self.act = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True)
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.first(x)))
        return self.head(torch.flatten(self.pool(self.act(x + self.second(x))), 1))


class Attention(nn.Module):
    """A network with a layer that some libraries lack."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attention(x, x, x)[0].mean(1))


@pytest.mark.parametrize("way", ["vmap(grad)", "BackPACK", "NNGeometry"])
def test_a_residual_network_gives_the_importance_of_the_loop(way):
    torch.manual_seed(0)
    given = Case(Residual().eval(), torch.randn(6, 3, 5, 5), torch.randint(5, (6,)))
    expected = ways.loop("fisher_empirical", given)
    for _ in range(2):  # of one network, as in the measurement
        importance, _ = ways.computed("fisher_empirical", way, given)
        assert error_of(importance, {key: value.double() for key, value in expected.items()}) < TOLERANCE


def test_a_library_without_a_layer_states_its_failure(tmp_path, monkeypatch):
    case = Case(Attention().eval(), torch.randn(4, 3, 6), torch.randint(5, (4,)))
    monkeypatch.setitem(networks.CASES, "attention", lambda: case)
    result = ways.attempted("attention", "NNGeometry", "fisher_empirical", Path(tmp_path, "file"), None)
    assert [*result] == ["failure"] and "layer" in result["failure"]
    assert not [*tmp_path.iterdir()]


def test_an_error_of_this_project_is_not_a_result(tmp_path):
    with pytest.raises(UserError, match="unknown estimator"):
        ways.attempted("LSTM", "estimate", "no estimator", Path(tmp_path, "file"), 2)
