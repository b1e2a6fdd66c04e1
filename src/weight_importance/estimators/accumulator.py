"""Importances accumulated batch by batch, across interrupted sessions or several processes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from weight_importance.estimators.assembly import Options, finished, load_sampled, sums_of
from weight_importance.estimators.engine.batches import BatchSums
from weight_importance.estimators.engine.forward import Call, Forward
from weight_importance.estimators.engine.guard import keeping_random_numbers, untouched
from weight_importance.estimators.engine.layers import PROBE
from weight_importance.estimators.engine.moments import MomentSums
from weight_importance.estimators.engine.passes import add_all
from weight_importance.estimators.engine.probe import Plan, examine
from weight_importance.estimators.engine.samples import Samples, batch, batches, drawn, spread
from weight_importance.estimators.engine.sums import COUNT, Sums
from weight_importance.estimators.kinds import CurvatureEstimator
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.progress import counted

FORMAT = 2
"""Version of :meth:`Accumulator.state_dict`."""


class Accumulator:
    """Importances of one network by several estimators, accumulated batch by batch.

    Args:
        names: estimators, keys of :data:`weight_importance.ESTIMATORS`, except path estimators.
        network: any module from a batch of samples to logits ``(N, K)`` or ``(N, ..., K)``; it must not change between
            batches.
        generator: random generator, required by estimators that sample labels or probes.
        chunk: samples per forward pass; by default limited by a fixed memory bound and by 2,500 (16,000 on a GPU).
        ignore_index: label of ignored positions; required for logits ``(N, ..., K)``.
        forward: ``(network, inputs) -> logits``, by default a call of the network.

    Raises:
        UserError: unknown name; a string in place of a list; path estimator; missing generator for an estimator that
            draws random numbers.
    """

    moments: type[MomentSums] = MomentSums
    """Class that accumulates the moments."""

    @torch.inference_mode(False)
    def __init__(
        self,
        names: Sequence[str],
        network: nn.Module,
        *,
        generator: Generator | None = None,
        chunk: int | None = None,
        ignore_index: int | None = None,
        forward: Call | None = None,
    ) -> None:
        self._estimators = load_sampled(names)
        self._options = Options(generator, chunk, ignore_index, forward)
        self._forward = Forward(network, forward)
        self._plan: Plan | None = None
        self._updates = 0
        self._sums, self._alike = sums_of(self._estimators, self._forward, self._options, self.moments)

    def update(self, data: Any, labels: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            data: inputs ``(N, ...)``; ``(inputs, labels)``; or a dictionary of inputs that may contain ``labels``.
            labels: ``(N,)`` or ``(N, ...)`` integers, if they are not part of the batch.

        Raises:
            UserError: importances would be wrong, or the batch does not fit the network; the message names the reason.
        """
        self.add(batch(data, labels))

    @torch.inference_mode(False)
    def _look(self, samples: Samples) -> None:
        """Choose the computation from samples of the whole data set, before the first batch."""
        samples = samples.prepared(self._forward.device, self._forward.whole)
        with untouched(self._forward.network, self._forward.device):
            self._examine(samples)

    @torch.inference_mode(False)
    def add(self, samples: Samples) -> None:
        """Add a batch in the engine's form; see :meth:`update`.

        The network is examined on the first, second, fourth, ... batch.

        Args:
            samples: inputs ``(N, ...)`` with or without labels.

        Raises:
            UserError: see :meth:`update`.
        """
        if samples.labels is None:
            for name, estimator in self._estimators.items():
                if getattr(estimator, "needs_labels", isinstance(estimator, CurvatureEstimator)):
                    raise UserError(f"{name} needs labels: pass them as (inputs, labels), or as labels=")
        elif len(samples.labels) != len(samples):
            raise UserError(
                f"labels of shape {tuple(samples.labels.shape)} come with {len(samples)} samples; expected one for each"
            )
        samples = samples.prepared(self._forward.device, self._forward.whole)
        self._updates += 1
        if not self._sums:
            return
        with untouched(self._forward.network, self._forward.device):
            rows, plan = None, self._plan
            if plan is None or self._updates & (self._updates - 1) == 0:
                rows = spread(len(samples), PROBE)
                plan = self._examine(samples.take(rows))
            alone = [sums for sums in self._sums if isinstance(sums, BatchSums) and not sums.shares(plan)]
            for sums in alone:
                sums.add_alone(samples, plan, self._options.chunk)
            shared = [sums for sums in self._sums if sums not in alone]
            if shared:
                add_all(shared, self._forward, samples, plan, self._options.chunk, rows)

    def _examine(self, samples: Samples) -> Plan:
        before = self._plan
        gradients = any(sums.needs_gradients for sums in self._sums)
        plan = self._plan = examine(self._forward, samples, gradients)
        if before is not None:
            plan.restrict(before, self._forward)
        return plan

    @torch.inference_mode(False)
    def result(self) -> dict[str, dict[str, Tensor]]:
        """Return the importances over all batches so far.

        Returns:
            estimator name → parameter name → tensor of the parameter's shape and precision (single precision for
            half-precision parameters).

        Raises:
            UserError: no sample has been added, or all are ignored.
        """
        if any(not self._count(sums) for sums in self._sums):
            raise UserError("an importance needs at least one sample that counts; there has been none")
        means = {name: values for sums in self._sums for name, values in sums.means().items()}
        means |= {name: means[other] for name, other in self._alike.items()}
        return {
            name: {
                self._forward.prefix + parameter: finished(name, estimator, means, parameter, value).contiguous()
                for parameter, value in self._forward.parameters.items()
            }
            for name, estimator in self._estimators.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all sums, counts and random-generator states: tensors, strings and numbers.

        Save it to continue later with :meth:`load_state_dict`, or send it to another process for :meth:`merge`.

        Returns:
            keys ``format``, ``names``, ``updates`` and ``sums``, the last a dictionary of tensors.
        """
        sums = {f"{place}/{key}": value for place, sums in enumerate(self._sums) for key, value in sums.state().items()}
        return {"format": FORMAT, "names": list(self._estimators), "updates": self._updates, "sums": sums}

    @torch.inference_mode(False)
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all sums and counts by a saved state.

        Args:
            state: :meth:`state_dict` of an accumulator with the same names and network.

        Raises:
            UserError: the state belongs to other estimators or another network.
        """
        for place, of_sums in enumerate(self._checked(state)):
            self._sums[place].restore(of_sums)
        self._updates = int(state["updates"])

    @torch.inference_mode(False)
    def merge(self, other: "Accumulator | Mapping[str, Any]") -> None:
        """Add the sums of another accumulator with the same network and estimators, over other samples.

        Estimators that draw labels need generators with different seeds; estimators that draw probes, the same seed.

        Args:
            other: an accumulator, or its :meth:`state_dict`.

        Raises:
            UserError: the state belongs to other estimators or another network.
        """
        state = other.state_dict() if isinstance(other, Accumulator) else other
        for place, of_sums in enumerate(self._checked(state)):
            self._sums[place].merge(of_sums)

    def _checked(self, state: Mapping[str, Any]) -> list[dict[str, Tensor]]:
        """Check a state; return its sums in order."""
        own_state = self.state_dict()
        names, expected = state.get("names"), own_state["names"]
        if state.get("format") != FORMAT:
            raise UserError("the state was saved by another version of this package: run the accumulation again")
        if names != expected:
            raise UserError(
                f"the state is of {names}, expected one of {expected}: give the accumulators the same names"
            )
        for key, total in own_state["sums"].items():
            other = state["sums"].get(key)
            if not key.partition("/")[2].startswith("open/") and (other is None or other.shape != total.shape):
                raise UserError(f"the state is of another network, or of other options: '{key}' does not fit")
        states: list[dict[str, Tensor]] = [{} for _ in self._sums]
        for key, value in state["sums"].items():
            place, _, name = key.partition("/")
            states[int(place)][name] = value
        return states

    @staticmethod
    def _count(sums: Sums) -> float:
        return sums.filled[1] + sums.totals[COUNT].item() if isinstance(sums, BatchSums) else sums.totals[COUNT].item()

    def go_through(self, data: Any, labels: Tensor | None = None) -> None:
        """Add all data, then advance the generator past the numbers drawn.

        Args:
            data: as for :func:`weight_importance.estimate_all`.
            labels: as for :func:`weight_importance.estimate_all`.

        Raises:
            UserError: see :func:`weight_importance.estimate`.
        """
        items, total, single = batches(data, labels)
        if single:
            self.add(*items)
        else:
            with keeping_random_numbers():
                probe = drawn(data, PROBE)
                if probe is not None:
                    self._look(probe)
                for each in items if total is None else counted(items, total, "batches"):
                    self.update(each)
        self._move_on()

    def _move_on(self) -> None:
        """Advance the generator past the numbers drawn by the last estimator that drew any."""
        generator = self._options.generator
        if generator is None:
            return
        before = generator.get_state()
        for draw in (draw for sums in self._sums for draw in sums.draws.values()):
            if draw is not None and not torch.equal(draw.get_state(), before):
                generator.set_state(draw.get_state())
