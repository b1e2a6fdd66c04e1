"""Ablations: transforms of an importance that keep one property and destroy another.

If average accuracy is lower under the transformed importance, the destroyed property matters. Transforms act on one
network's importance, parameter name → tensor with outputs along the first axis: a *row* belongs to one output unit, a
*column* to one input, or in a convolution to one input channel at one kernel position. A bias or a normalisation's
scale is a single column. Negative importances are set to zero beforehand, as in the penalty. Knows nothing of
estimators, tasks or training.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Generator, Tensor

from weight_importance.estimators import factors
from weight_importance.runtime.seeding import generator
from weight_importance.settings.ablation_names import Ablation

Importance = Mapping[str, Tensor]
"""Parameter name → importance, of one network or of a stack ``(R, *shape)``."""


def ablated(ablation: Ablation, importances: Sequence[Importance], seeds: Sequence[int]) -> dict[str, Tensor]:
    """Ablate the importances of a stack of networks on one task.

    Random numbers depend only on the ablation, the network's seed and the tensor's name. All tasks share them: summed
    over tasks, differently permuted importances would approach each tensor's mean.

    Args:
        ablation: the ablation.
        importances: one per estimator of the ablation, tensors ``(R, *shape)``; non-negative, or ``nan`` throughout for
            a diverged network.
        seeds: seed of each replica ``(R)``.

    Returns:
        parameter name → ``(R, *shape)``.
    """
    results = []
    for replica, seed in enumerate(seeds):
        of_one = [{name: values[replica] for name, values in stacked.items()} for stacked in importances]
        results.append(_of_one(ablation, of_one, seed))
    return {name: torch.stack([one[name] for one in results]) for name in importances[0]}


def _of_one(ablation: Ablation, importances: Sequence[Importance], seed: int) -> dict[str, Tensor]:
    if ablation.transform == "uniform":
        return uniform(importances[0])
    if ablation.transform == "depth":
        return depth(importances[0], ablation.number)
    changed = {}
    for name, values in importances[0].items():
        draw = generator(f"control {ablation.name}/{name}", seed, 0)
        match ablation.transform:
            case "power":
                changed[name] = power(values, ablation.number)
            case "values_in_ranks":
                changed[name] = values_in_ranks(values, importances[1][name], draw)
            case plain:
                changed[name] = PER_TENSOR[plain](values, draw)
    return changed


def uniform(importance: Importance) -> dict[str, Tensor]:
    """Replace every value by the mean over the whole network: the plain L2 distance from the anchor.

    Keeps the network's total; destroys all differences between parameters.
    """
    mean = torch.cat([values.flatten().double() for values in importance.values()]).mean()
    return {name: mean.to(values.dtype).expand_as(values) for name, values in importance.items()}


def depth(importance: Importance, ratio: float) -> dict[str, Tensor]:
    """Multiply every layer by a factor, in geometric progression from the first layer to the last.

    The last layer's factor is ``ratio`` times the first layer's; the geometric mean of all factors is 1. A layer is a
    module with parameters. Keeps all differences within a layer.
    """
    layers = [*dict.fromkeys(name.rpartition(".")[0] for name in importance)]
    steps = max(len(layers) - 1, 1)
    factor = {layer: ratio ** (place / steps - 0.5) for place, layer in enumerate(layers)}
    return {name: values * factor[name.rpartition(".")[0]] for name, values in importance.items()}


def tensor_mean(values: Tensor, draw: Generator) -> Tensor:
    """Replace every entry by the tensor's mean. Keeps each tensor's total; destroys differences within a tensor."""
    return values.double().mean().to(values.dtype).expand_as(values)


def input_factor(values: Tensor, draw: Generator) -> Tensor:
    """Replace every column by its mean over the outputs.

    Keeps the totals of inputs (channels and positions); destroys all differences between output units. A bias becomes
    its mean.
    """
    rows = _rows(values)
    return rows.double().mean(0).to(values.dtype).expand_as(rows).reshape(values.shape)


def output_factor(values: Tensor, draw: Generator) -> Tensor:
    """Replace every row by its mean over inputs and positions.

    Keeps the totals of output units; destroys all differences between their inputs. A bias stays unchanged.
    """
    rows = _rows(values)
    return rows.double().mean(1, keepdim=True).to(values.dtype).expand_as(rows).reshape(values.shape)


def rank_one(values: Tensor, draw: Generator) -> Tensor:
    """Replace the tensor by row sums times column sums over the total.

    Keeps the totals of output units and of inputs; destroys their interactions. A convolution's columns are pairs of
    input channel and position. A bias stays unchanged.
    """
    rows = _rows(values)
    # a tensor of zeros has no factors and stays unchanged
    return torch.where(rows.sum() == 0, rows, factors.rank_one(rows).to(rows.dtype)).reshape(values.shape)


def in_order_of_factors(values: Tensor, draw: Generator) -> Tensor:
    """Rearrange the tensor's values in the order of its :func:`rank_one`.

    Keeps the tensor's values and the order given by output and input factors; destroys the order that comes from
    interactions. Ties are broken at random.
    """
    return values_in_ranks(values, rank_one(values, draw), draw)


def shuffled(values: Tensor, draw: Generator) -> Tensor:
    """Permute the tensor's values at random, equally for all tasks.

    Keeps the tensor's values; destroys their assignment to parameters, rows and columns included.
    """
    order = torch.randperm(values.numel(), generator=draw).to(values.device)
    return values.flatten()[order].reshape(values.shape)


def shuffled_within_neuron(values: Tensor, draw: Generator) -> Tensor:
    """Permute the values of each row at random, independently between rows and equally for all tasks.

    Keeps each output unit's values; destroys their assignment to its inputs. A bias stays unchanged.
    """
    rows = _rows(values)
    order = torch.rand(rows.shape, generator=draw, dtype=torch.float64).argsort(1).to(values.device)
    return rows.gather(1, order).reshape(values.shape)


def power(values: Tensor, exponent: float) -> Tensor:
    """Raise absolute values to a power, rescaled to the tensor's original mean absolute value.

    Keeps ranks and each tensor's total; exponents below 1 reduce the spread of values, exponents above 1 increase it.
    """
    sizes = values.double().abs()
    # relative to the maximum, so that powers of tiny numbers do not underflow
    top = sizes.max()
    raised = (sizes / top).pow(exponent)
    return torch.where(top == 0, sizes, raised * (sizes.mean() / raised.mean())).to(values.dtype)


def reversed_ranks(values: Tensor, draw: Generator) -> Tensor:
    """Swap the largest value with the smallest, and so on.

    Keeps the tensor's values; reverses the order of its entries. Ties are broken at random.
    """
    ascending = _ascending(values, draw)
    return _placed(values.flatten()[ascending.flip(0)], ascending, values.shape)


def values_in_ranks(values: Tensor, ranks: Tensor, draw: Generator) -> Tensor:
    """Rearrange one importance's values in the order of another's, within each tensor.

    Keeps ``values`` and the order of ``ranks``; destroys the assignment of ``values`` to parameters. Ties in ``ranks``
    are broken at random.
    """
    return _placed(values.flatten().sort().values, _ascending(ranks, draw), values.shape)


PER_TENSOR: Mapping[str, Callable[[Tensor, Generator], Tensor]] = {
    "tensor_mean": tensor_mean,
    "input_factor": input_factor,
    "output_factor": output_factor,
    "rank_one": rank_one,
    "in_order_of_factors": in_order_of_factors,
    "shuffled": shuffled,
    "shuffled_within_neuron": shuffled_within_neuron,
    "reversed": reversed_ranks,
}
"""The transforms of one tensor, by their names in :data:`weight_importance.settings.ablation_names.TRANSFORMS`."""


def _rows(values: Tensor) -> Tensor:
    """``(outputs, inputs · positions)``."""
    return values.reshape(len(values), -1)


def _ascending(values: Tensor, draw: Generator) -> Tensor:
    """Sort the indices of the flattened entries by ascending value, ties in random order."""
    order = torch.randperm(values.numel(), generator=draw).to(values.device)
    return order[values.flatten()[order].argsort(stable=True)]


def _placed(values: Tensor, indices: Tensor, shape: torch.Size) -> Tensor:
    placed = torch.empty_like(values)
    placed[indices] = values
    return placed.reshape(shape)
