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
        paths = {name: torch.zeros_like(displacement) for name, displacement in displacements.items()}
        for name, path in paths.items():
            self.accumulate(path, gradients[name], displacements[name])
        self.add(paths, displacements)

    @staticmethod
    def accumulate(path_integral: Tensor, gradient: Tensor, displacement: Tensor) -> None:
        """Add one step's −g·Δθ to a running path integral, elementwise and in place."""
        path_integral.addcmul_(gradient, displacement, value=-1)

    def add(self, path_integral: Mapping[str, Tensor], displacement: Mapping[str, Tensor]) -> None:
        """Take in what some steps on end accumulated: their path integral and their whole displacement."""
        for mine, other in ((self.path_integral, path_integral), (self.displacement, displacement)):
            for name, value in other.items():
                mine[name] = mine[name] + value if name in mine else value.clone()


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
