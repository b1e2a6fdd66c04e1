"""Importances by the estimator's name: of samples at once, or of what training recorded."""

from collections.abc import Sequence
from typing import Any

from torch import Generator, Tensor, nn

from weight_importance.estimators.accumulator import Accumulator
from weight_importance.estimators.engine.forward import Call
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.loading import ESTIMATORS, OWN, load, names
from weight_importance.estimators.path import ImportanceRecorder
from weight_importance.runtime.errors import UserError

__all__ = ["ESTIMATORS", "OWN", "estimate", "estimate_all", "load", "names", "recorder"]


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
    """The importance of every parameter of a network, by the estimator called ``name``.

    Args:
        name: any but a path estimator, one of :data:`ESTIMATORS`.
        network: any module from a batch of samples to logits ``(N, K)``, K at least 2, or ``(N, ..., K)`` with one
            prediction per token or pixel; evaluated in evaluation mode, left as it was. Where some parameters require
            gradients and some do not, importances are of those that do.
        inputs: ``(N, ...)``, a tuple or a dictionary of such tensors; or a ``DataLoader``, a data set, or any iterable
            of batches, each ``(inputs, labels)`` or a dictionary that may hold ``labels``.
        labels: ``(N,)`` or ``(N, ...)`` integers; only for estimators whose formula has them.
        generator: randomness, needed by estimators that sample labels or probes.
        chunk: samples per forward pass, by default as many as a fixed bound on memory allows and at most 1,000; changes
            results by rounding only.
        ignore_index: the label that does not count, neither in the sum nor in the number of samples; to be given for
            logits ``(N, ..., K)``. There a sample's scalar is the sum over its positions, but each position counts by
            itself where an estimator takes the expectation over classes.
        forward: ``(network, inputs) -> logits``, where calling the network on the inputs does not give the logits.

    Returns:
        parameter name → tensor of that parameter's shape and precision (single precision where that is half).

    Raises:
        UserError: unknown name; a path estimator, which needs a recorder during training; inputs or labels that do not
            fit; samples that influence each other; an output that is random in evaluation mode.
    """
    found = estimate_all(
        [name], network, inputs, labels, generator=generator, chunk=chunk, ignore_index=ignore_index, forward=forward
    )
    return found[name]


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
    """Several importances of the same network on the same samples: what they have in common is computed once.

    The values are those of :func:`estimate` up to rounding; an estimator that draws random numbers draws those that it
    would draw alone.

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
        estimator's name → parameter name → tensor of that parameter's shape.

    Raises:
        UserError: see :func:`estimate`.
    """
    accumulator = Accumulator(
        names, network, generator=generator, chunk=chunk, ignore_index=ignore_index, forward=forward
    )
    accumulator.go_through(data, labels)
    return accumulator.result()


def recorder(*names: str, published: bool = False) -> ImportanceRecorder:
    """One recorder for all path estimators called ``names``.

    Args:
        names: the estimators.
        published: form them as the published protocol does, where that differs.

    Raises:
        UserError: unknown name, or not a path estimator.
    """
    estimators: dict[str, PathEstimator] = {}
    for name in names:
        estimator = load(name)
        if not isinstance(estimator, PathEstimator):
            raise UserError(
                f"'{name}' is a {estimator.kind} estimator: use estimate('{name}', ...) instead of a recorder"
            )
        estimators[name] = estimator
    return ImportanceRecorder(estimators, published)
