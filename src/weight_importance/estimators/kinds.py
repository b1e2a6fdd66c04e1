"""The four kinds of estimator. A module of the catalogue defines one object of one of these classes, nothing else."""

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
"""``(what was averaged, the parameter) -> importance``, elementwise, both of the parameter's shape."""

ALL = sys.maxsize
"""As a batch: all samples together."""


def unchanged(value: Tensor, parameter: Tensor) -> Tensor:
    """The average is the importance."""
    return value


def blocks_of_classes(logits: Tensor) -> Iterator[range]:
    """The classes, as many at a time as :data:`BLOCK_BYTES` has room for one cotangent each."""
    classes, at_once = logits.shape[1], max(1, BLOCK_BYTES // logits.nbytes)
    return (range(first, min(first + at_once, classes)) for first in range(0, classes, at_once))


@dataclass(frozen=True)
class MomentEstimator:
    """Mean over samples of Σ_c weight · |gradient for cotangent c|^power, per parameter.

    Attributes:
        label: name of the estimator in figures and tables.
        formula: LaTeX, for one parameter θ.
        source: BibTeX key of the paper that introduced it.
        cotangents: the cotangents at the logits and their weights.
        power: the exponent.
        finish: turns the mean into the importance.
        batch: number of samples whose gradients are averaged *before* the power is taken: 1, except for estimators
            of the gradient of a batch mean. See :mod:`weight_importance.estimators.engine.batches`.
        needs_labels: whether the cotangents depend on the labels.
        separate_positions: for logits ``(N, ..., K)``: whether each position is treated as a sample, as in a sum over
            classes, whose labels are independent. By default the gradient of a sample is that of the sum over its
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
        records: the records that it needs, names in :data:`weight_importance.estimators.path.RECORDS`, as a literal
            tuple of texts (the workflow reads them from the source).
        importance: function of the records, passed by name; elementwise, any shape.
        published: records that the published protocol replaces: name → name of the replacement.
        kept: records that Adam's state contains: name → key in the state of a parameter.
        normalised: records that are first rescaled to [0, 1] over the whole network.
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
        reading: the quantity that is read from the layers, see :mod:`weight_importance.estimators.engine.by_layer`;
            ``None`` for an importance of the weights alone, whose ``finish`` gets the parameter itself as the mean.
        mean_of_samples: whether it is a mean over samples of independent values; see :func:`is_mean_of_samples`.
        compared_within_outputs: whether pruning compares a weight only with those of the same output unit, whatever
            the scope.
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
    """Whether an importance is a mean over samples of what each sample gives by itself.

    Then its expectation is the same for any number of samples, and the variance around it falls with one over that
    number. Neither holds for a function of the mean (a root, an absolute value), for what averages within batches
    first, for random probes, whose noise more samples do not lessen, and for a path, which has no such samples.
    """
    if isinstance(estimator, MomentEstimator):
        return estimator.batch == 1 and estimator.finish is unchanged
    return isinstance(estimator, StateEstimator) and estimator.mean_of_samples
