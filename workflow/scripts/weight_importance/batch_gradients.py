"""A training step's gradients for the replicas of a stack, from the numbers of the samples in their batches.

On a CPU the batches are formed once for every seed and the replicas run one after another. On a GPU launching the small
operations of a step takes longer than computing them: each group's gathering, forward and backward pass is captured as
one CUDA graph. Replicas of networks without convolutions are batched products in it; those with convolutions are
branches, as grouped convolutions are slow.
"""

import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from weight_importance.flat import Layout
from weight_importance.gradients import OneByOne, SideBySide, groups, side_by_side, way_to_compute
from weight_importance.replicas import Replicas, convolutional
from weight_importance.tasks import Split, to_inputs
from weight_importance.tracing import Trace, Untraceable, loss_gradient, trace, trace_stack

BRANCHES = 8
"""Convolutional replicas that a GPU computes at the same time: one alone does not fill it."""

GRAPH_REPLICAS = 32
"""Convolutional replicas in one CUDA graph, at most."""

WARM_UP = 2
"""Runs before a capture, in which libraries choose their algorithms and take their memory."""


def _batch(data: Split, indices: Tensor) -> tuple[Tensor, Tensor]:
    return to_inputs(data.images.index_select(0, indices)), data.labels.index_select(0, indices)


def _stacked(batches: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Inputs ``(G, B, ...)`` and labels ``(G, B)``; one batch alone is not copied."""
    if len(batches) == 1:
        return batches[0][0][None], batches[0][1][None]
    inputs, labels = zip(*batches, strict=True)
    return torch.stack(inputs), torch.stack(labels)


class Gathered:
    """Gradients from batches that are formed one after another, once for every seed.

    Args:
        way: computes gradients from inputs and labels.
        data: the training images.
        copies: replicas of each seed.
    """

    def __init__(self, way: OneByOne | SideBySide, data: Split, copies: int) -> None:
        self.groups = way.groups
        self._way, self._data, self._copies = way, data, copies

    def load(self, indices: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Every seed's batch for sample numbers ``(S, B)``: a stack of all would be copied for every replica."""
        return [_batch(self._data, row) for row in indices]

    def __call__(self, rows: slice, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The rows' gradients ``(rows, size)``, valid until the next call."""
        return self._way(rows, *_stacked([batches[row // self._copies] for row in range(rows.start, rows.stop)]))


class Captured:
    """Gradients on a GPU: a CUDA graph for every group, with the gathering of its batches.

    Args:
        replicas: the stack, its template in the mode to train in; parameters change in place between calls.
        layout: where parameters lie in a row.
        data: the training images, on the GPU.
        copies: replicas of each seed.
        indices: a first step's sample numbers ``(S, B)``.
        label_smoothing: share of the target that is spread evenly over all classes.
    """

    def __init__(
        self, replicas: Replicas, layout: Layout, data: Split, copies: int, indices: Tensor, label_smoothing: float
    ) -> None:
        self._replicas, self._layout, self._data, self._copies = replicas, layout, data, copies
        self._label_smoothing = label_smoothing
        self._indices = indices.clone()
        self._convolutional = convolutional(replicas.template)
        size = GRAPH_REPLICAS
        if not self._convolutional:
            size = side_by_side(replicas, layout, _batch(data, indices[0])[0])
        self.groups = groups(len(replicas), size)
        like = next(iter(replicas.parameters.values()))
        self._rows = like.new_zeros(min(size, len(replicas)), layout.size)
        self._streams = [torch.cuda.Stream(like.device) for _ in range(BRANCHES)] if self._convolutional else []
        self._pool = torch.cuda.graph_pool_handle()
        self._runs: dict[int, Callable[[], None]] = {}
        self._traces: dict[int, Trace | None] = {}

    def load(self, indices: Tensor) -> Tensor:
        """Sample numbers ``(S, B)`` as :meth:`__call__` takes them."""
        return indices

    def __call__(self, rows: slice, indices: Tensor) -> Tensor:
        """The rows' gradients ``(rows, size)``, valid until the next call."""
        self._indices.copy_(indices)
        if rows.start not in self._runs:
            self._runs[rows.start] = self._capture(rows)
        self._runs[rows.start]()
        return self._rows[: rows.stop - rows.start]

    def _capture(self, rows: slice) -> Callable[[], None]:
        run = self._branches(rows) if self._convolutional else self._batched(rows)
        before = {name: buffer[rows].clone() for name, buffer in self._replicas.buffers.items()}
        here, beside = torch.cuda.current_stream(), torch.cuda.Stream()
        try:
            beside.wait_stream(here)
            with torch.cuda.stream(beside):
                for _ in range(WARM_UP):
                    run()
            here.wait_stream(beside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                run()
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            print(f"training launches every operation by itself, without CUDA graphs: {reason}", file=sys.stderr)
            return run
        finally:
            for name, buffer in before.items():
                self._replicas.buffers[name][rows] = buffer
        return graph.replay

    def _gather(self, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """The batches ``(len(seeds), B, ...)`` of these seeds, by the sample numbers that are loaded."""
        chosen = self._indices.index_select(0, seeds)
        inputs, labels = _batch(self._data, chosen.flatten())
        return inputs.unflatten(0, chosen.shape), labels.view(chosen.shape)

    def _batched(self, rows: slice) -> Callable[[], None]:
        """All replicas of the group in batched operations."""
        count = rows.stop - rows.start
        seeds = self._seeds([row // self._copies for row in range(rows.start, rows.stop)])
        parameters = {name: value[rows] for name, value in self._replicas.parameters.items()}
        into = self._layout.views(self._rows[:count])
        if count not in self._traces:
            self._traces[count] = None
            try:
                template = self._replicas.template
                self._traces[count] = trace_stack(template, parameters, *self._gather(seeds), self._label_smoothing)
            except Untraceable as reason:
                print(f"training takes automatic differentiation at every step: {reason}", file=sys.stderr, flush=True)
        recorded = self._traces[count]
        if recorded:
            return lambda: recorded(parameters, {}, *self._gather(seeds), into)
        way = SideBySide(self._replicas, self._layout, len(self._rows), self._label_smoothing)

        def run() -> None:
            gradients = self._layout.views(way(rows, *self._gather(seeds)))
            for name, memory in into.items():
                memory.copy_(gradients[name])

        return run

    def _branches(self, rows: slice) -> Callable[[], None]:
        """Every replica of the group by itself, some at the same time."""
        of_row = [row // self._copies for row in range(rows.start, rows.stop)]
        distinct = list(dict.fromkeys(of_row))
        seeds = self._seeds(distinct)
        template = self._replicas.template
        states = [self._replicas.state(row) for row in range(rows.start, rows.stop)]
        into = self._layout.views(self._rows)
        if 1 not in self._traces:
            self._traces[1] = None
            inputs, labels = self._gather(seeds[:1])
            finite = int(self._replicas.finite().int().argmax())
            try:
                self._traces[1] = trace(
                    template, *self._replicas.state(finite), inputs[0], labels[0], self._label_smoothing
                )
            except Untraceable as reason:
                print(f"training takes automatic differentiation at every step: {reason}", file=sys.stderr, flush=True)
        recorded = self._traces[1]

        def one(place: int, inputs: Tensor, labels: Tensor) -> None:
            parameters, buffers = states[place]
            memory = {name: view[place] for name, view in into.items()}
            if recorded:
                recorded(parameters, buffers, inputs, labels, memory)
                return
            found = loss_gradient(template, parameters, buffers, inputs, labels, self._label_smoothing)
            for name, gradient in found.items():
                memory[name].copy_(gradient)

        def run() -> None:
            inputs, labels = self._gather(seeds)
            here = torch.cuda.current_stream()
            for stream in self._streams:
                stream.wait_stream(here)
            for place, seed in enumerate(of_row):
                with torch.cuda.stream(self._streams[place % len(self._streams)]):
                    position = distinct.index(seed)
                    one(place, inputs[position], labels[position])
            for stream in self._streams:
                here.wait_stream(stream)

        return run

    def _seeds(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, device=self._indices.device)


def batch_gradients(
    replicas: Replicas, layout: Layout, data: Split, copies: int, indices: Tensor, label_smoothing: float = 0.0
) -> Gathered | Captured:
    """What computes gradients on the stack's device; the arguments are those of :class:`Captured`."""
    if indices.device.type == "cuda":
        return Captured(replicas, layout, data, copies, indices, label_smoothing)
    way = way_to_compute(replicas, layout, *_batch(data, indices[0]), label_smoothing)
    return Gathered(way, data, copies)
