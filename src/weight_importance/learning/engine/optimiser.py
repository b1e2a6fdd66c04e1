"""Adam steps on flat memory, fused with the penalty's gradient and the recorder.

A step is elementwise and memory-bound: applied to all parameters, every operation would fetch them again. So the row is
split into pieces that fit into the processor's cache, and each piece passes through all operations before the next.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import repeat

import torch
from torch import Tensor

from weight_importance.estimators.path import PathRecorder, Step
from weight_importance.files.trained import AdamState
from weight_importance.learning.engine.flat import Layout, pieces

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Constants of Adam (Kingma and Ba 2015), torch's defaults."""

PIECE = 32768
"""Elements per piece of a row: nine tensors of this length fill half of a common L2 cache."""


@dataclass(frozen=True)
class QuadraticPenalty:
    """A penalty with gradient stiffness · (θ − anchor); parameter name → tensor ``(R, *shape)``."""

    stiffness: Mapping[str, Tensor]
    anchor: Mapping[str, Tensor]


def add_gradient(loss_gradient: Tensor, parameter: Tensor, anchor: Tensor, stiffness: Tensor, out: Tensor) -> Tensor:
    """Write loss_gradient + stiffness · (parameter − anchor), elementwise, into ``out``."""
    torch.sub(parameter, anchor, out=out)
    return torch.addcmul(loss_gradient, stiffness, out, out=out)


@dataclass(frozen=True)
class Piece:
    """Views of the same elements in all tensors that a step reads and writes; ``None`` for missing ones."""

    parameter: Tensor
    gradient: Tensor
    first: Tensor
    second: Tensor
    independent: Tensor | None
    anchor: Tensor | None
    stiffness: Tensor | None
    records: tuple[Tensor, ...]
    total: Tensor
    moved: Tensor


class Optimiser:
    """Adam for a stack of replicas, each with its own penalty and record.

    Args:
        layout: places of parameters in a row.
        parameters: ``(R, size)``, changed in place.
        learning_rate: Adam's step size.
        adam: initial state; new if ``None``.
        penalty: penalty whose gradient is added to the loss gradient.
        recorder: receives every step's gradients and displacement.
    """

    def __init__(
        self,
        layout: Layout,
        parameters: Tensor,
        learning_rate: float,
        adam: AdamState | None,
        penalty: QuadraticPenalty | None,
        recorder: PathRecorder | None,
    ) -> None:
        self._layout, self._parameters = layout, parameters
        # the kernel of torch.optim.Adam(fused=True), without its bookkeeping per tensor and step
        self._adam = partial(
            torch._fused_adam_, lr=learning_rate, beta1=BETAS[0], beta2=BETAS[1], eps=EPSILON,
            weight_decay=0.0, amsgrad=False, maximize=False,
        )  # fmt: skip
        device = parameters.device
        self._before = adam.steps if adam else 0
        self._step = torch.empty((), device=device)
        if adam:
            self._first, self._second = (_filled(layout, means, device) for means in (adam.first, adam.second))
        else:
            self._first, self._second = torch.zeros_like(parameters), torch.zeros_like(parameters)
        self._anchor = _filled(layout, penalty.anchor, device) if penalty else None
        self._stiffness = _filled(layout, penalty.stiffness, device) if penalty else None
        self._recorder = recorder
        self._records: list[Tensor] = []
        self._start: Tensor | None = None
        if recorder:
            views = layout.views(parameters)
            self._records = [_filled(layout, state, device) for state in recorder.states(views)]
            self._start = parameters.clone()
        self._taken = 0
        self._scratch: Tensor | None = None
        self._cut: dict[tuple[int, int], list[Piece]] = {}

    def update(self, rows: slice, number: int, gradients: Tensor, independent: Tensor | None = None) -> None:
        """Take step ``number`` of some rows.

        Each row takes steps 1, 2, 3, ... in this order, and all rows equally many before :meth:`finish`; the order of
        rows is arbitrary.

        Args:
            rows: rows of the stack.
            number: number of the step in this training, from 1.
            gradients: loss gradients ``(rows, size)``, in the same memory at every step.
            independent: gradients on other batches for the recorder, also always in the same memory.
        """
        self._taken = max(self._taken, number)
        self._step.fill_(self._before + number)
        recorded = self._recorder.steps + number if self._recorder else 0
        for piece in self._pieces(rows, gradients, independent):
            total = piece.gradient
            if piece.anchor is not None and piece.stiffness is not None:
                total = add_gradient(total, piece.parameter, piece.anchor, piece.stiffness, out=piece.total)
            if self._recorder:
                piece.moved.copy_(piece.parameter)
            self._adam([piece.parameter], [total], [piece.first], [piece.second], [], [self._step])
            if self._recorder:
                torch.sub(piece.parameter, piece.moved, out=piece.moved)
                step = Step(recorded, piece.gradient, total, piece.independent, piece.moved)
                self._recorder.take_in(step, piece.records)

    def finish(self) -> AdamState:
        """Pass the records to the recorder, and return Adam's state."""
        if self._recorder and self._start is not None:
            displacement = self._layout.views(self._parameters - self._start)
            self._recorder.put([self._layout.views(record) for record in self._records], displacement, self._taken)
        first, second = self._layout.views(self._first), self._layout.views(self._second)
        return AdamState(self._before + self._taken, first, second)

    def _pieces(self, rows: slice, gradients: Tensor, independent: Tensor | None) -> list[Piece]:
        key = rows.start, rows.stop
        if key not in self._cut:
            # a GPU has no such cache, and each operation costs a launch
            most = PIECE if gradients.device.type == "cpu" else gradients.numel()

            def cut(memory: Tensor | None) -> Iterable[Tensor | None]:
                return repeat(None) if memory is None else pieces(memory.view(-1), most)

            gradient = pieces(gradients.view(-1), most)
            first, second, anchor, stiffness = (
                cut(None if memory is None else memory[rows])
                for memory in (self._first, self._second, self._anchor, self._stiffness)
            )
            records = [cut(memory[rows]) for memory in self._records]
            if self._scratch is None:
                self._scratch = gradients.new_empty(2, len(gradient[0]))
            memories = zip(
                cut(self._parameters[rows]), gradient, first, second, cut(independent), anchor, stiffness,
                zip(*records, strict=True) if records else repeat(()),
                strict=False,  # missing tensors repeat ``None`` endlessly
            )  # fmt: skip
            self._cut[key] = [Piece(*parts, *self._scratch[:, : len(parts[0])]) for parts in memories]
        return self._cut[key]


def _filled(layout: Layout, values: Mapping[str, Tensor], device: torch.device) -> Tensor:
    return layout.filled({name: value.to(device) for name, value in values.items()})
