"""The four kinds of estimator. Each catalogue module defines exactly one object of one of these classes."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Generator, Tensor

BLOCK_BYTES = 16 * 2**20
"""Memory bound on the cotangents that exist at once; at least one per sample."""

Weighted = tuple[Tensor, Tensor]
"""Cotangents ``(C, N, K)`` at the logits and their weights ``(C, N)``."""

Cotangents = Callable[[Tensor, Tensor, Generator | None], Weighted | Iterator[Weighted]]
"""``(logits (N, K), labels (N,), generator) -> cotangents, weights``, at once or in blocks; logits in float64."""

Finish = Callable[[Tensor, Tensor], Tensor]
"""``(mean, parameter) -> importance``, elementwise, both of the parameter's shape."""

ALL = sys.maxsize
"""Batch size: all samples together."""


def unchanged(value: Tensor, parameter: Tensor) -> Tensor:
    """Return the mean as the importance."""
    return value


def blocks_of_classes(logits: Tensor) -> Iterator[range]:
    """Split the classes into blocks whose cotangents fit into :data:`BLOCK_BYTES`."""
    classes, at_once = logits.shape[1], max(1, BLOCK_BYTES // logits.nbytes)
    return (range(first, min(first + at_once, classes)) for first in range(0, classes, at_once))


@dataclass(frozen=True)
class MomentEstimator:
    """Mean over samples of Σ_c weight · |gradient for cotangent c|^power, per parameter.

    Attributes:
        label: name of the estimator in figures and tables.
        formula: LaTeX, for one parameter θ.
        source: BibTeX key of the original paper.
        cotangents: the cotangents at the logits and their weights.
        power: the exponent.
        finish: turns the mean into the importance.
        batch: number of samples whose gradients are averaged *before* the power is taken: 1, except for estimators
            of the gradient of a batch mean. See :mod:`weight_importance.estimators.engine.batches`.
        needs_labels: whether the cotangents depend on the labels.
        separate_positions: whether each position of logits ``(N, ..., K)`` is treated as a sample, as in an expectation
            over classes with independent labels. By default a per-sample gradient is the gradient of the sum over
            positions (the log-probability of a sequence).
    """

    label: str
    formula: str
    source: str
    cotangents: Cotangents
    power: int
    finish: Finish = unchanged
    batch: int = 1
    needs_labels: bool = True
    separate_positions: bool = False
    kind: ClassVar[str] = "moment"


@dataclass(frozen=True)
class CurvatureEstimator:
    """A function of the diagonal of the Hessian of the mean cross-entropy.

    It is exact if logits are piecewise linear in every parameter tensor. Otherwise, the part from the curvature of the
    logits is estimated; see :mod:`weight_importance.estimators.engine.curvature`.

    Attributes:
        gauss_newton: cotangents whose second moment is the diagonal of the Gauss-Newton matrix.
        finish: turns the diagonal into the importance.
    """

    label: str
    formula: str
    source: str
    gauss_newton: Cotangents
    finish: Finish = unchanged
    kind: ClassVar[str] = "curvature"


@dataclass(frozen=True)
class PathEstimator:
    """A function of records of the optimiser's steps on the task.

    Attributes:
        records: required records, names in :data:`weight_importance.estimators.path.RECORDS`, as a literal tuple of
            strings (the workflow parses the source).
        importance: function of the records, passed by name; elementwise, any shape.
        published: record → its replacement under the published protocol.
        kept: record available from Adam's state → key in a parameter's state.
        normalised: records rescaled to [0, 1] over the whole network beforehand.
    """

    label: str
    formula: str
    source: str
    records: tuple[str, ...]
    importance: Callable[..., Tensor]
    published: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    normalised: tuple[str, ...] = ()
    kind: ClassVar[str] = "path"


@dataclass(frozen=True)
class StateEstimator:
    """A function of weights and activations, without any gradient.

    Attributes:
        finish: ``(mean of the reading over samples, in float64; the parameter) -> importance``.
        reading: quantity read from the layers, see :mod:`weight_importance.estimators.engine.by_layer`; ``None`` for an
            importance of the weights alone, whose ``finish`` receives the parameter itself as the mean.
        mean_of_samples: whether the importance is a mean over samples; see :func:`is_mean_of_samples`.
        compared_within_outputs: whether pruning ranks weights within each output unit only, whatever the scope.
    """

    label: str
    formula: str
    source: str
    finish: Finish = unchanged
    reading: Callable[..., Any] | None = None
    mean_of_samples: bool = False
    compared_within_outputs: bool = False
    kind: ClassVar[str] = "state"


Estimator = MomentEstimator | CurvatureEstimator | PathEstimator | StateEstimator


def is_mean_of_samples(estimator: Estimator) -> bool:
    """Whether an importance is a mean of independent per-sample values.

    The expectation of such a mean does not depend on the number of samples; its variance is inversely proportional to
    that number. Neither holds for functions of the mean (root, absolute value), averages within batches, random probes
    (whose noise more samples do not reduce), or path estimators.
    """
    if isinstance(estimator, MomentEstimator):
        return estimator.batch == 1 and estimator.finish is unchanged
    return isinstance(estimator, StateEstimator) and estimator.mean_of_samples
