"""Path estimators' recorder: what the optimiser did to each parameter while it learnt a task."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


class PathRecorder:
    """Accumulates the path integral −Σ g·Δθ and the displacement ΣΔθ over optimiser steps.

    The path integral is the share of each parameter in the fall of the loss (Zenke, Poole and Ganguli 2017, eq. 3),
    with the optimiser's real displacement in place of the learning rate times the gradient.
    """

    def __init__(self) -> None:
        self.path_integral: dict[str, Tensor] = {}
        self.displacement: dict[str, Tensor] = {}

    def step(self, gradients: Mapping[str, Tensor], displacements: Mapping[str, Tensor]) -> None:
        """Take in one optimiser step: the gradient of the unpenalised loss before it and the displacement it made."""
        for name, displacement in displacements.items():
            if name not in self.displacement:
                self.path_integral[name] = torch.zeros_like(displacement)
                self.displacement[name] = torch.zeros_like(displacement)
            self.path_integral[name].addcmul_(gradients[name], displacement, value=-1)
            self.displacement[name].add_(displacement)


class ImportanceRecorder(PathRecorder):
    """A path recorder that turns what it recorded into an importance.

    Args:
        formula: turns ``(path_integral, displacement)`` into an importance, elementwise.
    """

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self._formula = formula

    def importance(self) -> dict[str, Tensor]:
        """The importance of every parameter, from all steps so far."""
        return {name: self._formula(self.path_integral[name], self.displacement[name]) for name in self.displacement}
