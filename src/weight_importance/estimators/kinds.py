"""The four kinds of estimator, as data: a catalogue module defines one of these and nothing else is needed."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Generator, Tensor, nn

Cotangents = Callable[[Tensor, Tensor, Generator | None], tuple[Tensor, Tensor]]
"""``(logits (N, K), labels (N,), generator) -> (cotangents (C, N, K), weights (C, N))``, logits in float64."""

Finish = Callable[[Tensor, Tensor], Tensor]
"""``(what was averaged, the parameter) -> importance``, elementwise, both of the parameter's shape."""

ALL = sys.maxsize
"""As a batch: all samples together."""


def unchanged(value: Tensor, parameter: Tensor) -> Tensor:
    """What was averaged is the importance itself."""
    return value


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
    """

    label: str
    formula: str
    source: str
    cotangents: Cotangents
    power: int
    finish: Finish = unchanged
    batch: int = 1
    kind: ClassVar[str] = "moment"


@dataclass(frozen=True)
class CurvatureEstimator:
    """A function of the diagonal of the loss's Hessian, estimated with random probes.

    Attributes:
        finish: turns the diagonal into the importance.
        probes: how many; see :mod:`weight_importance.estimators.engine.curvature` for the error that follows.
    """

    label: str
    formula: str
    source: str
    finish: Finish = unchanged
    probes: int = 10
    kind: ClassVar[str] = "curvature"


@dataclass(frozen=True)
class PathEstimator:
    """A function of what the optimiser did on the task.

    Attributes:
        records: what training must record for it, names in :data:`weight_importance.estimators.path.RECORDS`, written
            out as a tuple of texts (the workflow reads them off the source).
        importance: the importance from these, elementwise, each given by its name; any shape.
        published: of ``records``, those that the published protocol replaces by others: name → name of the other.
    """

    label: str
    formula: str
    source: str
    records: tuple[str, ...]
    importance: Callable[..., Tensor]
    published: Mapping[str, str] = field(default_factory=dict)
    kind: ClassVar[str] = "path"


@dataclass(frozen=True)
class StateEstimator:
    """Read off weights and activations, without any gradient.

    Attributes:
        importance: ``(network in evaluation mode, inputs (N, ...), chunk) -> parameter name → importance``; the chunk
            is samples per forward pass, or ``None`` for as many as the memory bound allows.
        mean_of_samples: it is a mean over samples of what each gives by itself; see :func:`is_mean_of_samples`.
    """

    label: str
    formula: str
    source: str
    importance: Callable[[nn.Module, Tensor, int | None], dict[str, Tensor]]
    mean_of_samples: bool = False
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
