"""The three kinds of estimator, as data: a catalogue module defines one of these and nothing else is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor, nn

Cotangents = Callable[[Tensor, Tensor, Generator | None], tuple[Tensor, Tensor]]
"""``(logits (N, K), labels (N,), generator) -> (cotangents (C, N, K), weights (C, N))``, logits in float64."""


@dataclass(frozen=True)
class MomentEstimator:
    """Mean over samples of Σ_c weight · |pull-back of cotangent c|^power, per parameter.

    Attributes:
        label: how figures and tables name the estimator.
        formula: LaTeX, for one parameter θ.
        source: BibTeX key of the paper that introduced it.
        cotangents: the cotangents at the logits and their weights.
        power: the exponent.
    """

    label: str
    formula: str
    source: str
    cotangents: Cotangents
    power: int
    kind: ClassVar[str] = "moment"


@dataclass(frozen=True)
class PathEstimator:
    """A function of what the optimiser did on the task.

    Attributes:
        importance: ``(path_integral, displacement) -> importance``, elementwise, any shape. The path integral is
            −Σ g·Δθ over the optimiser's steps, g being the gradient of the unpenalised loss; the displacement is ΣΔθ.
    """

    label: str
    formula: str
    source: str
    importance: Callable[[Tensor, Tensor], Tensor]
    kind: ClassVar[str] = "path"


@dataclass(frozen=True)
class StateEstimator:
    """Read off weights and activations, without any gradient.

    Attributes:
        importance: ``(network in evaluation mode, inputs (N, ...), chunk) -> parameter name → importance``; the chunk
            is samples per forward pass, or ``None`` for as many as the memory bound allows.
    """

    label: str
    formula: str
    source: str
    importance: Callable[[nn.Module, Tensor, int | None], dict[str, Tensor]]
    kind: ClassVar[str] = "state"


Estimator = MomentEstimator | PathEstimator | StateEstimator
