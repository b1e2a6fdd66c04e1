"""Importances by estimator name, computed from samples or from training records."""

from collections.abc import Sequence
from typing import Any

from torch import Generator, Tensor, nn

from weight_importance.estimators.accumulator import Accumulator
from weight_importance.estimators.engine.forward import Call
from weight_importance.estimators.loading import ESTIMATORS, load, load_path, names
from weight_importance.estimators.path import ImportanceRecorder

__all__ = ["ESTIMATORS", "estimate", "estimate_all", "load", "names", "recorder"]


def estimate(
    name: str,
    network: nn.Module,
    inputs: Any,
    labels: Tensor | None = None,
    *,
    generator: Generator | None = None,
    chunk: int | None = None,
    ignore_index: int | None = None,
    forward: Call | None = None,
) -> dict[str, Tensor]:
    """Compute the importance of every parameter of a network with the estimator ``name``.

    Args:
        name: an estimator in :data:`ESTIMATORS`, except path estimators.
        network: any module from a batch of samples to logits ``(N, K)``, K at least 2, or ``(N, ..., K)`` with one
            prediction per token or pixel. It is called in evaluation mode and left unchanged. If only some parameters
            require gradients, importances are computed for these.
        inputs: ``(N, ...)``, a tuple or a dictionary of such tensors; or a ``DataLoader``, a data set, or any iterable
            of batches, each ``(inputs, labels)`` or a dictionary that may contain ``labels``.
        labels: ``(N,)`` or ``(N, ...)`` integers; needed only by estimators whose formula contains labels.
        generator: random generator, required by estimators that sample labels or probes.
        chunk: samples per forward pass; by default limited by a fixed memory bound and by 2,500 (16,000 on a GPU). It
            changes results by rounding only.
        ignore_index: label of positions excluded from the sum and from the number of samples; required for logits
            ``(N, ..., K)``. A per-sample gradient is then the gradient of the sum over positions; estimators with an
            expectation over classes treat each position separately.
        forward: ``(network, inputs) -> logits``, if ``network(inputs)`` does not return the logits.

    Returns:
        parameter name → tensor of its shape and precision (single precision for half-precision parameters); not finite
        if inputs, weights or gradients are not.

    Raises:
        UserError: unknown name; path estimator, which must be recorded during training; wrong shape of inputs or
            labels; samples that influence each other; random output in evaluation mode.
    """
    importances = estimate_all(
        [name], network, inputs, labels, generator=generator, chunk=chunk, ignore_index=ignore_index, forward=forward
    )
    return importances[name]


def estimate_all(
    names: Sequence[str],
    network: nn.Module,
    data: Any,
    labels: Tensor | None = None,
    *,
    generator: Generator | None = None,
    chunk: int | None = None,
    ignore_index: int | None = None,
    forward: Call | None = None,
) -> dict[str, dict[str, Tensor]]:
    """Compute several importances of one network on the same samples; shared parts are computed once.

    Values equal those of :func:`estimate` up to rounding; random draws are the same as in separate calls.

    Args:
        names: estimators, keys of :data:`ESTIMATORS`, except path estimators.
        network: as for :func:`estimate`.
        data: ``inputs`` as for :func:`estimate`, or the pair ``(inputs, labels)``.
        labels: as for :func:`estimate`.
        generator: as for :func:`estimate`.
        chunk: as for :func:`estimate`.
        ignore_index: as for :func:`estimate`.
        forward: as for :func:`estimate`.

    Returns:
        estimator name → parameter name → tensor of the parameter's shape.

    Raises:
        UserError: see :func:`estimate`.
    """
    accumulator = Accumulator(
        names, network, generator=generator, chunk=chunk, ignore_index=ignore_index, forward=forward
    )
    accumulator.go_through(data, labels)
    return accumulator.result()


def recorder(*names: str, published: bool = False) -> ImportanceRecorder:
    """Create one recorder for the path estimators ``names``.

    Args:
        names: the estimators.
        published: whether to use the records of the published protocol where they differ.

    Raises:
        UserError: unknown name, or not a path estimator.
    """
    return ImportanceRecorder(load_path(names), published)
