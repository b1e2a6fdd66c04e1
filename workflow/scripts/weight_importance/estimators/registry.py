"""Estimators by name. The names are those of the modules in ``catalogue``: to add an estimator, add its module there.

Catalogue modules are imported by name when they are first asked for, so that computing one estimator neither loads
nor depends on the others.
"""

import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module

import torch
from torch import Generator, Tensor, nn

from weight_importance.errors import UserError, unknown_name
from weight_importance.estimators import catalogue
from weight_importance.estimators.kinds import Estimator, MomentEstimator, PathEstimator
from weight_importance.estimators.layers import evaluation_mode
from weight_importance.estimators.moments import Moment, moments
from weight_importance.estimators.path import ImportanceRecorder


def names() -> list[str]:
    """The known estimators, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(catalogue.__path__))


def load(name: str) -> Estimator:
    """The estimator called ``name``.

    Raises:
        UserError: there is none; the nearest known name is suggested.
    """
    if name not in names():
        raise unknown_name("estimator", name, names())
    return import_module(f"{catalogue.__name__}.{name}").ESTIMATOR


class _Catalogue(Mapping[str, Estimator]):
    def __getitem__(self, name: str) -> Estimator:
        if name not in names():
            raise KeyError(name)
        return load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(names())

    def __len__(self) -> int:
        return len(names())


ESTIMATORS: Mapping[str, Estimator] = _Catalogue()
"""Estimator name → its definition (label, formula, source, kind); loaded on access."""


def estimate(
    name: str,
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    generator: Generator | None = None,
    chunk: int | None = None,
) -> dict[str, Tensor]:
    """The importance of every parameter of a network, by the estimator called ``name``.

    Args:
        name: a moment or state estimator, one of :data:`ESTIMATORS`.
        network: any module from ``(N, ...)`` to logits ``(N, K)``; evaluated in evaluation mode, left as it was.
        inputs: ``(N, ...)``.
        labels: ``(N,)`` integers.
        generator: randomness, needed by estimators that sample labels.
        chunk: samples per forward pass, by default as many as a fixed bound on memory allows and at most 1,000; changes
            results by rounding only.

    Returns:
        parameter name → tensor of that parameter's shape.

    Raises:
        UserError: unknown name, or a path estimator, which needs a recorder during training.
    """
    return estimate_all([name], network, inputs, labels, generator=generator, chunk=chunk)[name]


def estimate_all(
    names: Sequence[str],
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    generator: Generator | None = None,
    chunk: int | None = None,
) -> dict[str, dict[str, Tensor]]:
    """Several importances of the same network on the same samples: what they have in common is computed once.

    The arguments are those of :func:`estimate`, which gives the same values up to rounding; an estimator that samples
    labels draws those that it would draw alone.

    Returns:
        estimator's name → parameter name → tensor of that parameter's shape.

    Raises:
        UserError: see :func:`estimate`.
    """
    found = {name: load(name) for name in names}
    for name, estimator in found.items():
        if isinstance(estimator, PathEstimator):
            raise UserError(
                f"'{name}' is a path estimator: it is computed from the training itself. Pass "
                f"weight_importance.estimators.registry.recorder('{name}') to the training loop, call its "
                "step(gradients, displacements) after every optimiser step and importance() at the end."
            )
    wanted = {
        name: Moment(estimator.cotangents, estimator.power)
        for name, estimator in found.items()
        if isinstance(estimator, MomentEstimator)
    }
    values = moments(network, inputs, labels, wanted, generator, chunk) if wanted else {}
    with evaluation_mode(network), torch.no_grad():
        for name in found.keys() - wanted.keys():
            values[name] = found[name].importance(network, inputs, chunk)
    return {name: values[name] for name in names}


def recorder(name: str) -> ImportanceRecorder:
    """A recorder for the path estimator called ``name``.

    Raises:
        UserError: unknown name, or not a path estimator.
    """
    estimator = load(name)
    if not isinstance(estimator, PathEstimator):
        raise UserError(f"'{name}' is a {estimator.kind} estimator: use estimate('{name}', ...) instead of a recorder")
    return ImportanceRecorder(estimator.importance)
