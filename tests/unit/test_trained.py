"""A trained stack is restored exactly, and only for its seeds."""

import pytest
import torch

from weight_importance.files import trained
from weight_importance.files.trained import AdamState, Trained
from weight_importance.runtime.errors import UserError

ADAM = AdamState(7, {"w": torch.randn(2, 3)}, {"w": torch.rand(2, 3)})


@pytest.mark.parametrize("adam", [None, ADAM])
def test_a_stack_is_restored_exactly(adam, tmp_path):
    buffers = {"norm.running_mean": torch.randn(2, 3), "norm.num_batches_tracked": torch.tensor([4, 4])}
    stack = Trained([3, 4], {"w": torch.randn(2, 3)}, buffers, adam)
    recorded = {"displacement": {"w": torch.randn(2, 3)}, "path_integral": {"w": torch.randn(2, 3)}}
    file = tmp_path / "seeds-3-4.safetensors"
    trained.write(file, stack, recorded, {"study": "s"})
    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert names == {"seeds-3-4.safetensors", "seeds-3-4.state.safetensors", "seeds-3-4.path.safetensors"}
    again = trained.read(file, [3, 4])
    assert torch.equal(again.parameters["w"], stack.parameters["w"]) and again.buffers.keys() == buffers.keys()
    assert all(torch.equal(again.buffers[name], value) for name, value in buffers.items())
    assert (again.adam is None) == (adam is None)
    if adam:
        assert again.adam.steps == 7
        assert torch.equal(again.adam.first["w"], adam.first["w"])
        assert torch.equal(again.adam.second["w"], adam.second["w"])
    path = trained.read_path(file, [3, 4])
    assert all(torch.equal(path[record]["w"], values["w"]) for record, values in recorded.items())
    for read in (trained.read, trained.read_path):
        with pytest.raises(UserError, match=r"is of seeds \[3, 4\], expected \[4, 3\]"):
            read(file, [4, 3])
