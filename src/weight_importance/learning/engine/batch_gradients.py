"""Gradients of a training step for the replicas of a stack, from the sample indices of their batches.

On a CPU the replicas run sequentially. On a GPU, launching a step's small operations takes longer than computing them,
so one CUDA graph captures each group's gathering, forward and backward pass: batched products for networks without
convolutions, parallel branches for convolutional networks, because grouped convolutions are slow.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from weight_importance.learning.batches import Batch, TaskData, stacked
from weight_importance.learning.engine.flat import Layout
from weight_importance.learning.engine.gradients import (
    OneByOne,
    SideBySide,
    groups,
    loss_gradient,
    side_by_side,
    way_to_compute,
)
from weight_importance.learning.replicas import Replicas, convolutional

if TYPE_CHECKING:
    from weight_importance.learning.engine.tracing import Trace

BRANCHES = 8
"""Convolutional replicas that run concurrently on a GPU, which one alone does not fill."""

GRAPH_REPLICAS = 32
"""Maximum number of convolutional replicas in one CUDA graph."""

OfRows = Callable[[slice], Tensor]
"""Rows of a stack → their gradients ``(rows, size)``, valid until the next call."""

WARM_UP = 2
"""Runs before a capture, in which libraries select algorithms and allocate memory."""


class Gathered:
    """Gradients from batches formed when needed, once per seed if rows with the same seed are consecutive.

    Args:
        way: computes gradients from inputs and labels.
        data: the training samples.
    """

    def __init__(self, way: OneByOne | SideBySide, data: TaskData) -> None:
        self.groups = way.groups
        self._way, self._data = way, data

    def on(self, indices: Tensor) -> OfRows:
        """Return the gradients on the batches of sample indices ``(S, B)``."""
        kept: dict[int, Batch] = {}

        def of_rows(rows: slice) -> Tensor:
            places = self._data.places[rows]
            if not kept.keys() >= set(places):
                kept.clear()
                kept.update((place, self._data.batch(place, indices[place])) for place in set(places))
            return self._way(rows, *stacked([kept[place] for place in places]))

        return of_rows


class Captured:
    """Gradients on a GPU: one CUDA graph per group, including the gathering of its batches.

    Args:
        replicas: the stack, its template in training mode; parameters change in place between calls.
        layout: places of parameters in a row.
        data: the training samples, on the GPU.
        indices: sample indices ``(S, B)`` of the first step.
        label_smoothing: share of the target spread evenly over all classes.
    """

    def __init__(
        self, replicas: Replicas, layout: Layout, data: TaskData, indices: Tensor, label_smoothing: float
    ) -> None:
        self._replicas, self._layout, self._data = replicas, layout, data
        self._label_smoothing = label_smoothing
        self._indices = indices.clone()
        self._convolutional = convolutional(replicas.template)
        size = GRAPH_REPLICAS
        if not self._convolutional:
            size = side_by_side(replicas, layout, data.batch(0, indices[0])[0])
        self.groups = groups(len(replicas), size)
        like = next(iter(replicas.parameters.values()))
        self._rows = like.new_zeros(min(size, len(replicas)), layout.size)
        self._streams = [torch.cuda.Stream(like.device) for _ in range(BRANCHES)] if self._convolutional else []
        self._pool = torch.cuda.graph_pool_handle()
        self._runs: dict[int, Callable[[], None]] = {}
        self._traces: dict[int, Trace | None] = {}

    def on(self, indices: Tensor) -> OfRows:
        """Return the gradients on the batches of sample indices ``(S, B)``."""
        return partial(self._replay, indices)

    def _replay(self, indices: Tensor, rows: slice) -> Tensor:
        self._indices.copy_(indices)
        if rows.start not in self._runs:
            self._runs[rows.start] = self._capture(rows)
        self._runs[rows.start]()
        return self._rows[: rows.stop - rows.start]

    def _capture(self, rows: slice) -> Callable[[], None]:
        run = self._branches(rows) if self._convolutional else self._batched(rows)
        before = {name: buffer[rows].clone() for name, buffer in self._replicas.buffers.items()}
        current, warming = torch.cuda.current_stream(), torch.cuda.Stream()
        try:
            warming.wait_stream(current)
            with torch.cuda.stream(warming):
                for _ in range(WARM_UP):
                    run()
            current.wait_stream(warming)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                run()
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            print(f"training runs without CUDA graphs: {reason}", file=sys.stderr)
            return run
        finally:
            for name, buffer in before.items():
                self._replicas.buffers[name][rows] = buffer
        return graph.replay

    def _gather(self, places: Sequence[int], on_device: Tensor) -> Batch:
        """Gather the batches ``(len(places), B, ...)`` of the seeds at these places by the loaded indices."""
        if not self._data.shared:
            return stacked([self._data.batch(place, self._indices[place]) for place in places])
        chosen = self._indices.index_select(0, on_device)
        inputs, labels = self._data.shared_batch(chosen.flatten())
        return inputs.unflatten(0, chosen.shape), labels.view(chosen.shape)

    def _batched(self, rows: slice) -> Callable[[], None]:
        """Return a run of all replicas of the group in batched operations."""
        from weight_importance.learning.engine.tracing import Untraceable, trace_stack  # seconds of imports

        count = rows.stop - rows.start
        seeds = self._places(self._data.places[rows])
        parameters = {name: value[rows] for name, value in self._replicas.parameters.items()}
        into = self._layout.views(self._rows[:count])
        if count not in self._traces:
            self._traces[count] = None
            try:
                template = self._replicas.template
                self._traces[count] = trace_stack(template, parameters, *self._gather(*seeds), self._label_smoothing)
            except Untraceable as reason:
                print(f"training uses automatic differentiation at every step: {reason}", file=sys.stderr, flush=True)
        recorded = self._traces[count]
        if recorded:
            return lambda: recorded(parameters, {}, *self._gather(*seeds), into)
        way = SideBySide(self._replicas, self._layout, len(self._rows), self._label_smoothing)

        def run() -> None:
            gradients = self._layout.views(way(rows, *self._gather(*seeds)))
            for name, memory in into.items():
                memory.copy_(gradients[name])

        return run

    def _branches(self, rows: slice) -> Callable[[], None]:
        """Return a run of separate replicas, some of them concurrently."""
        from weight_importance.learning.engine.tracing import Untraceable, trace  # seconds of imports

        of_row = self._data.places[rows]
        distinct = list(dict.fromkeys(of_row))
        seeds = self._places(distinct)
        template = self._replicas.template
        states = [self._replicas.state(row) for row in range(rows.start, rows.stop)]
        into = self._layout.views(self._rows)
        if 1 not in self._traces:
            self._traces[1] = None
            inputs, labels = self._gather(*self._places(distinct[:1]))
            finite = int(self._replicas.finite().int().argmax())
            try:
                self._traces[1] = trace(
                    template, *self._replicas.state(finite), inputs[0], labels[0], self._label_smoothing
                )
            except Untraceable as reason:
                print(f"training uses automatic differentiation at every step: {reason}", file=sys.stderr, flush=True)
        recorded = self._traces[1]

        def one(place: int, inputs: Tensor, labels: Tensor) -> None:
            parameters, buffers = states[place]
            memory = {name: view[place] for name, view in into.items()}
            if recorded:
                recorded(parameters, buffers, inputs, labels, memory)
                return
            gradients = loss_gradient(template, parameters, buffers, inputs, labels, self._label_smoothing)
            for name, gradient in gradients.items():
                memory[name].copy_(gradient)

        def run() -> None:
            inputs, labels = self._gather(*seeds)
            current = torch.cuda.current_stream()
            for stream in self._streams:
                stream.wait_stream(current)
            for place, seed in enumerate(of_row):
                with torch.cuda.stream(self._streams[place % len(self._streams)]):
                    position = distinct.index(seed)
                    one(place, inputs[position], labels[position])
            for stream in self._streams:
                current.wait_stream(stream)

        return run

    def _places(self, places: Sequence[int]) -> tuple[Sequence[int], Tensor]:
        """Return places of seeds, also as a tensor on the device, created before a capture."""
        return places, torch.tensor(places, device=self._indices.device)


def batch_gradients(
    replicas: Replicas, layout: Layout, data: TaskData, indices: Tensor, label_smoothing: float = 0.0
) -> Gathered | Captured:
    """Choose the gradient computation for the stack's device; arguments as for :class:`Captured`."""
    if indices.device.type == "cuda":
        return Captured(replicas, layout, data, indices, label_smoothing)
    way = way_to_compute(replicas, layout, data.batch(0, indices[0])[0], label_smoothing)
    return Gathered(way, data)
