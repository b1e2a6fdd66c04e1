"""Samples are views of stored images; inputs are scaled and have a channel axis."""

import pytest
import torch

from weight_importance.data.samples import Samples, once_each, to_inputs
from weight_importance.runtime.errors import UserError


@pytest.fixture
def samples() -> Samples:
    return Samples(torch.arange(40, dtype=torch.uint8).view(10, 2, 2), torch.arange(10), lambda images: images.flip(-1))


def test_a_selection_shares_the_stored_images_and_transforms_them(samples):
    last = samples.last(3)
    assert last.stored.data_ptr() == samples.stored[7:].data_ptr()
    assert last.images.tolist() == samples.stored[7:].flip(-1).tolist()
    assert last.labels.tolist() == [7, 8, 9]
    assert samples.at_most(3).labels.tolist() == [7, 8, 9]
    assert samples.spread(4).labels.tolist() == [0, 2, 5, 7] and samples.spread(10) is samples
    assert samples.at_most(None) is samples and samples.at_most(10) is samples
    assert samples.take(torch.tensor([4, 1])).labels.tolist() == [4, 1]


@pytest.mark.parametrize("count", [0, 11])
def test_an_invalid_number_of_samples_is_refused(samples, count):
    with pytest.raises(UserError, match="between 1 and 10"):
        samples.last(count)


@pytest.mark.parametrize("shape", [(2, 2), (1, 2, 2), (3, 4, 5)])
def test_inputs_have_a_channel_axis_and_are_in_the_unit_interval(shape):
    images = torch.randint(0, 256, (6, *shape), dtype=torch.uint8)
    inputs = to_inputs(images)
    assert inputs.shape == (6, *(shape if len(shape) == 3 else (1, *shape)))
    torch.testing.assert_close(inputs.flatten(), images.flatten() / 255)


def test_equal_items_are_computed_once():
    first, second, calls = object(), object(), []
    results = once_each(lambda item: calls.append(item) or len(calls), [first, second, first])
    assert results == [1, 2, 1] and calls == [first, second]
