"""Networks accept images of any size and number of channels, and have the published shapes by default."""

import pytest
import torch
from torch import nn

from weight_importance.estimators.registry import estimate
from weight_importance.estimators.weights import weight_names
from weight_importance.findings.tensors import weight_tensors
from weight_importance.learning.networks import CNN, MLP, NETWORKS, network
from weight_importance.runtime.errors import UserError
from weight_importance.settings import FullyConnected, Inputs


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("shape", "classes"), [((1, 28, 28), 10), ((3, 32, 20), 4)])
def test_every_network_maps_images_to_logits(name, shape, classes):
    assert network(name, shape, classes)()(torch.rand(2, *shape)).shape == (2, classes)


def test_the_default_shapes_are_the_published_ones():
    assert [tuple(tensor.shape) for tensor in MLP().parameters() if tensor.ndim == 2] == [
        (300, 784),
        (150, 300),
        (10, 150),
    ]
    assert dict(CNN().named_parameters())["fc.weight"].shape == (10, 16384)
    wide = dict(NETWORKS["mlp_wide"]().named_parameters())
    assert wide["fc2.weight"].shape == (2000, 2000) and len(wide) == 6


def test_images_too_small_for_the_convolutions_are_refused():
    with pytest.raises(UserError, match="at least 14 × 14 pixels, found 13 × 28"):
        CNN((1, 13, 28))


def test_an_unknown_network_is_named():
    with pytest.raises(UserError, match="Did you mean 'mlp'"):
        network("mpl", (1, 28, 28), 10)


def test_a_fully_connected_network_follows_its_settings():
    which = FullyConnected(kind="mlp", hidden=(7, 7, 5), activation="tanh")
    built = network(which, (1, 6, 6), 3)()
    assert [tuple(tensor.shape) for tensor in built.parameters() if tensor.ndim == 2] == [
        (7, 36), (7, 7), (5, 7), (3, 5),
    ]  # fmt: skip
    images = torch.rand(4, 1, 6, 6)
    values = images.flatten(1)
    *layers, last = built.children()
    for layer in layers:
        values = torch.tanh(layer(values))
    assert torch.equal(built(images), last(values))


def test_a_normalising_network_has_the_same_parameters_and_normalised_inputs():
    torch.manual_seed(0)
    plain = MLP((1, 6, 6), 3)
    torch.manual_seed(0)
    normalising = network("mlp", (1, 6, 6), 3, Inputs(mean=0.25, sd=0.5))()
    assert [name for name, _ in normalising.named_parameters()] == [name for name, _ in plain.named_parameters()]
    images = torch.rand(4, 1, 6, 6)
    torch.testing.assert_close(normalising(images), plain((images - 0.25) / 0.5))
    labels = torch.tensor([0, 1, 2, 0])
    for name in ("fisher_exact", "mas", "total_signal"):
        importance = estimate(name, normalising, images, labels)
        for key, value in estimate(name, plain, (images - 0.25) / 0.5, labels).items():
            torch.testing.assert_close(importance[key], value)


@pytest.mark.parametrize("name", NETWORKS)
def test_weight_tensors_by_dimensions_are_those_by_names(name):
    parameters = dict(network(name, (1, 28, 28), 10)().named_parameters())
    assert set(weight_tensors(parameters)) == set(weight_names(parameters)) != set()


def test_a_scale_named_like_a_weight_is_refused(monkeypatch):
    monkeypatch.setitem(NETWORKS, "scaled", lambda shape, classes: nn.Sequential(nn.LayerNorm(3)))
    with pytest.raises(UserError, match=r"'0.weight' has 1 dimension.*'bn' or 'norm'"):
        network("scaled", (1, 28, 28), 10)()
