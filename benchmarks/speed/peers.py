"""Other libraries' ways to compute the same importances, each as its documentation says.

They are optional: imported on first use. Parameters are matched by their order, which is the same everywhere.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, softmax
from torch.utils.data import DataLoader, Dataset

from speed.ways import Compute, Way, batches, per_class, power_
from weight_importance.learning.networks import CNN, MLP


def _extended(network: nn.Module) -> nn.Module:
    """The network for BackPACK, with shared parameters: it sees no functions, and its converter only some."""
    from backpack import extend

    if isinstance(network, MLP | CNN):
        return extend(_as_modules(network))
    return extend(network.eval(), use_converter=not isinstance(network, nn.Sequential))


def _as_modules(network: MLP | CNN) -> nn.Sequential:
    """The network as a sequence of modules with shared parameters."""
    if isinstance(network, MLP):
        layers = [nn.Flatten(), network.fc1, nn.LeakyReLU(0.01), network.fc2, nn.LeakyReLU(0.01), network.fc3]
    else:
        layers = [network.conv1, network.bn1, nn.LeakyReLU(0.01), nn.MaxPool2d(2)]
        layers += [network.conv2, network.bn2, nn.LeakyReLU(0.01)]
        layers += [network.conv3, network.bn3, nn.LeakyReLU(0.01), nn.Flatten(), network.fc]
    return nn.Sequential(*layers).eval()


def _mean(network: nn.Module, sums: Iterable[Tensor], samples: int) -> dict[str, Tensor]:
    """Sums in the order of the network's parameters as a mean by name."""
    return {
        name: total.view_as(parameter) / samples
        for (name, parameter), total in zip(network.named_parameters(), sums, strict=True)
    }


def _backpack(estimator: str, network: nn.Module, batch: int) -> Compute:
    """Second moments and the exact Fisher (= diagonal of the Gauss-Newton matrix) by extensions made for them."""
    from backpack import backpack, extend
    from backpack.extensions import BatchGrad, DiagGGNExact, SumGradSquared

    model = _extended(network)
    parameters = list(network.parameters())
    cross_entropy_sum = extend(nn.CrossEntropyLoss(reduction="sum"))
    extension, field = {
        "fisher_empirical": (SumGradSquared, "sum_grad_squared"),
        "fisher_exact": (DiagGGNExact, "diag_ggn_exact"),
        "mas": (BatchGrad, "grad_batch"),
    }[estimator]

    def compute(inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        totals = [torch.zeros_like(parameter) for parameter in parameters]
        for samples, truth in batches(inputs, labels, batch):
            logits = model(samples)
            loss = softmax(logits, 1).square().sum() if estimator == "mas" else cross_entropy_sum(logits, truth)
            with backpack(extension()):
                loss.backward()
            for total, parameter in zip(totals, parameters, strict=True):
                values = getattr(parameter, field)
                total += power_("mas", values).sum(0) if estimator == "mas" else values
                delattr(parameter, field)
                parameter.grad = None
        return _mean(network, totals, len(inputs))

    return compute


class _Samples(Dataset):
    """Samples served a whole batch at a time, so that the loader does not collect them one by one."""

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self._inputs, self._labels = inputs, labels

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        part = slice(indices[0], indices[-1] + 1)
        # a copy, because NNGeometry requires the gradient at its inputs
        return self._inputs[part].clone(), self._labels[part]


def _as_they_are(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return batch


def _nngeometry(estimator: str, network: nn.Module, batch: int) -> Compute:
    from nngeometry.backend import TorchHooksJacobianBackend
    from nngeometry.metrics import FIM
    from nngeometry.object import PMatDiag

    def empirical(inputs: Tensor, labels: Tensor) -> Tensor:
        return log_softmax(network(inputs), 1).gather(1, labels[:, None])

    def compute(inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        loader = DataLoader(_Samples(inputs, labels), batch_size=batch, collate_fn=_as_they_are)
        if estimator == "fisher_exact":
            diagonal = FIM(network, loader, PMatDiag, variant="classif_logits", device=inputs.device).get_diag()
        else:
            generator = TorchHooksJacobianBackend(network, function=empirical)
            diagonal = PMatDiag(generator=generator, examples=loader).get_diag()
        sizes = [parameter.numel() for parameter in network.parameters()]
        return _mean(network, diagonal.split(sizes), 1)

    return compute


def _asdl(estimator: str, network: nn.Module, batch: int) -> Compute:
    from asdl import FISHER_EMP, FISHER_EXACT, LOSS_CROSS_ENTROPY, SHAPE_DIAG, FisherConfig, get_fisher_maker

    kind = {"fisher_empirical": FISHER_EMP, "fisher_exact": FISHER_EXACT}[estimator]
    maker = get_fisher_maker(network, FisherConfig(kind, [SHAPE_DIAG], LOSS_CROSS_ENTROPY, data_size=1))
    owners = [module for module in network.modules() if next(module.parameters(recurse=False), None) is not None]

    def compute(inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        for index, (samples, truth) in enumerate(batches(inputs, labels, batch)):
            logits = maker.setup_model_call(network, samples)
            maker.setup_loss_call(cross_entropy, logits, truth)  # it sums by itself
            maker.forward_and_backward(accumulate=index > 0)
        sums = [total for module in owners for total in (module.fisher.diag.weight, module.fisher.diag.bias)]
        return _mean(network, (total for total in sums if total is not None), len(inputs))

    return compute


def _held_by_backpack(estimator: str, convolutional: bool) -> int:
    return per_class(estimator) if convolutional or estimator == "mas" else 0


def _held_by_convolutions(estimator: str, convolutional: bool) -> int:
    return int(convolutional)


PEERS = (
    Way("BackPACK", _backpack, package="backpack", held=_held_by_backpack),
    Way("NNGeometry", _nngeometry, ("fisher_empirical", "fisher_exact"), "nngeometry", held=_held_by_convolutions),
    Way("ASDL", _asdl, ("fisher_empirical", "fisher_exact"), "asdl", held=_held_by_convolutions),
)
