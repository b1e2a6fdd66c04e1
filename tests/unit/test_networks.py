"""Networks take images of any size and number of channels, and have the published shapes by default."""

import pytest
import torch

from weight_importance.estimators.weights import weight_names
from weight_importance.findings.tensors import weight_tensors
from weight_importance.learning.networks import CNN, MLP, NETWORKS, network
from weight_importance.runtime.errors import UserError


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


@pytest.mark.parametrize("name", NETWORKS)
def test_weight_tensors_are_the_same_by_their_dimensions_and_by_their_names_in_tables(name):
    parameters = dict(network(name, (1, 28, 28), 10)().named_parameters())
    assert set(weight_tensors(parameters)) == set(weight_names(parameters)) != set()
