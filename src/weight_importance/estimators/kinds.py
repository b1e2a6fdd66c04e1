"""The four kinds of estimator, as data: a catalogue module defines one of these and nothing else is needed."""

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
    """What was averaged is the importance itself."""
    return value


def blocks_of_classes(logits: Tensor) -> Iterator[range]:
    """The classes, as many at a time as :data:`BLOCK_BYTES` has room for one cotangent each."""
    classes, at_once = logits.shape[1], max(1, BLOCK_BYTES // logits.nbytes)
    return (range(first, min(first + at_once, classes)) for first in range(0, classes, at_once))


@dataclass(frozen=True)
class MomentEstimator:
    """Mean over samples of Σ_c weight · |pull-back of cotangent c|^power, per parameter.

    Attributes:
        label: how figures and tables name the estimator.
        formula: LaTeX, for one parameter θ.
        source: BibTeX key of the paper that introduced it.
        cotangents: the cotangents at the logits and their weights.
        power: the exponent.
        finish: turns the mean into the importance.
        batch: samples whose pull-backs are averaged *before* the power is taken; one, but for estimators that are
            about the gradient of a batch's mean. See :mod:`weight_importance.estimators.engine.batches`.
        needs_labels: whether the cotangents depend on the labels.
        separate_positions: for logits ``(N, ..., K)``: each position counts by itself, as for a sum over classes, whose
            labels are independent. By default a sample's scalar is the sum over its positions (a sequence's
            log-probability).
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

    It is exact where logits are piecewise linear in every tensor of parameters; elsewhere, the part that comes from the
    curvature of the logits is estimated; see :mod:`weight_importance.estimators.engine.curvature`.

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
    """A function of what the optimiser did on the task.

    Attributes:
        records: what training must record for it, names in :data:`weight_importance.estimators.path.RECORDS`, written
            out as a tuple of texts (the workflow reads them off the source).
        importance: the importance from these, elementwise, each given by its name; any shape.
        published: of ``records``, those that the published protocol replaces by others: name → name of the other.
        kept: of ``records``, those that Adam keeps itself: name → key in its state for a parameter.
        normalised: of ``records``, those whose values over a whole network are mapped onto [0, 1] first.
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
    """Read off weights and activations, without any gradient.

    Attributes:
        finish: ``(mean over samples of what is read, in float64; the parameter) -> importance``.
        reading: what is read off the layers, see :mod:`weight_importance.estimators.engine.by_layer`; ``None`` for an
            importance of the weights alone, whose ``finish`` gets the parameter itself as the mean.
        mean_of_samples: it is a mean over samples of what each gives by itself; see :func:`is_mean_of_samples`.
        compared_within_outputs: as a criterion for pruning, whether a weight is compared with those of the same output
            unit only, whatever the scope.
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
