"""Importances as the public libraries compute them, each called as its documentation says; imported on first use.

Every function takes a case and returns an importance by parameter name.
"""

import copy
from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from audit.formulas import Importance
from audit.setting import Case
from speed.peers import PEERS
from weight_importance.data.sources.mirrors import import_torchvision

Run = Callable[[Case], Importance]


def named(network: nn.Module, flat: Tensor) -> Importance:
    """Parts of a vector of all parameters by name."""
    parameters = dict(network.named_parameters())
    parts = flat.detach().split([parameter.numel() for parameter in parameters.values()])
    return {name: part.view_as(parameters[name]) for name, part in zip(parameters, parts, strict=True)}


def as_benchmarked(library: str, estimator: str) -> Run:
    """The call that the benchmark of speed uses."""
    way = next(way for way in PEERS if way.who == library)
    return lambda case: way.prepare(estimator, copy.deepcopy(case.network), case.batch)(case.inputs, case.labels)


def backpack_extension(extension: str, field: str) -> Run:
    """A quantity of BackPACK under the mean loss of each batch; the mean over batches, weighted by their sizes."""

    def compute(case: Case) -> Importance:
        from backpack import backpack, extend, extensions

        model, loss = extend(copy.deepcopy(case.network)), extend(nn.CrossEntropyLoss())
        flat = 0
        for x, y in case.batches():
            with backpack(getattr(extensions, extension)()):
                loss(model(x), y).backward()
            flat = flat + torch.cat([getattr(p, field).flatten() for p in model.parameters()]) * len(x)
        return named(case.network, flat / len(case.inputs))

    return compute


def curvlinops_operator(operator: str, **options: str) -> Run:
    """The diagonal of a linear operator, from its products with all unit vectors."""

    def compute(case: Case) -> Importance:
        import curvlinops

        network = copy.deepcopy(case.network)
        made = getattr(curvlinops, operator)(
            network, nn.CrossEntropyLoss(), list(network.parameters()), case.batches(), **options
        )
        return named(network, (made @ torch.eye(made.shape[0])).diagonal())

    return compute


def laplace_backend(backend: str) -> Run:
    """The diagonal of the posterior precision without the prior, a sum over samples, divided by their number."""

    def compute(case: Case) -> Importance:
        import_torchvision("models")
        from laplace import DiagLaplace, curvature

        network = copy.deepcopy(case.network)
        posterior = DiagLaplace(network, "classification", backend=getattr(curvature, backend))
        posterior.fit(DataLoader(TensorDataset(case.inputs, case.labels), batch_size=case.batch))
        return named(network, posterior.H / len(case.inputs))

    return compute


def _with_tasks(case: Case) -> TensorDataset:
    """Samples, labels and numbers of tasks, as Avalanche expects."""
    return TensorDataset(case.inputs, case.labels, torch.zeros_like(case.labels))


def avalanche_ewc(case: Case) -> Importance:
    import_torchvision("models")
    from avalanche.training.plugins import EWCPlugin

    network = copy.deepcopy(case.network)
    importances = EWCPlugin(ewc_lambda=1.0).compute_importances(
        network,
        nn.CrossEntropyLoss(),
        torch.optim.SGD(network.parameters(), lr=0.1),
        _with_tasks(case),
        "cpu",
        case.batch,
    )
    return {name: value.data for name, value in importances.items()}


def avalanche_mas(case: Case) -> Importance:
    import_torchvision("models")
    from avalanche.training.plugins import MASPlugin

    network = copy.deepcopy(case.network)
    strategy = SimpleNamespace(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        experience=SimpleNamespace(dataset=_with_tasks(case)),
        train_mb_size=case.batch,
        device="cpu",
    )
    return {name: value.data for name, value in MASPlugin()._get_importance(strategy).items()}


def torch_pruning_scores(case: Case, hessian: bool) -> Importance:
    """Scores of output channels, of the layer's own weights only, not normalised."""
    import torch_pruning
    from torch_pruning.pruner import function

    network = copy.deepcopy(case.network)
    graph = torch_pruning.DependencyGraph().build_dependency(network, case.inputs[:1])
    kind = (
        torch_pruning.importance.GroupHessianImportance if hessian else torch_pruning.importance.GroupTaylorImportance
    )
    importance = kind(group_reduction="first", normalizer=None)
    losses = nn.functional.cross_entropy(network(case.inputs), case.labels, reduction="none")
    if hessian:
        for loss in losses:
            network.zero_grad()
            loss.backward(retain_graph=True)
            importance.accumulate_grad(network)
    else:
        losses.mean().backward()
    layers = [(name, layer) for name, layer in network.named_children() if isinstance(layer, nn.Conv2d | nn.Linear)]
    scores = {}
    for name, layer in layers[:-1]:
        convolution = isinstance(layer, nn.Conv2d)
        prune = function.prune_conv_out_channels if convolution else function.prune_linear_out_channels
        group = graph.get_pruning_group(layer, prune, idxs=[*range(len(layer.weight))])
        scores[f"{name}.weight"] = importance(group).detach()
    return scores
