"""Importances that are added up batch by batch: in one go, over interrupted sessions, or over several processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from weight_importance.estimators.engine.batches import BatchMoment, BatchSums
from weight_importance.estimators.engine.by_layer import ReadingSums
from weight_importance.estimators.engine.cotangents import Moment
from weight_importance.estimators.engine.curvature import CurvatureSums, signs
from weight_importance.estimators.engine.forward import Call, Forward
from weight_importance.estimators.engine.guard import untouched
from weight_importance.estimators.engine.layers import PROBE
from weight_importance.estimators.engine.moments import MomentSums
from weight_importance.estimators.engine.probe import Plan, examine
from weight_importance.estimators.engine.samples import Samples, batch, spread
from weight_importance.estimators.engine.sums import COUNT, Sums
from weight_importance.estimators.kinds import (
    CurvatureEstimator,
    Estimator,
    MomentEstimator,
    PathEstimator,
    StateEstimator,
)
from weight_importance.estimators.loading import load
from weight_importance.runtime.errors import UserError

FORMAT = 1
"""Of :meth:`Accumulator.state_dict`."""


@dataclass(frozen=True)
class Options:
    """How the samples are computed, apart from what they are.

    Attributes:
        generator: randomness, needed by estimators that sample labels or probes.
        chunk: samples per pass, by default as many as a fixed bound on memory allows and at most 1,000.
        ignore_index: the label that does not count; needed for logits ``(N, ..., K)``.
        forward: ``(network, inputs) -> logits``, by default a call of the network.
    """

    generator: Generator | None = None
    chunk: int | None = None
    ignore_index: int | None = None
    forward: Call | None = None


class Accumulator:
    """Importances of one network by several estimators, batch after batch.

    Args:
        names: of estimators, any but those of the path.
        network: any module from a batch of samples to logits ``(N, K)`` or ``(N, ..., K)``; it must not change between
            batches.
        generator, chunk, ignore_index, forward: see :class:`Options`.

    Raises:
        UserError: unknown name; an estimator of the path; one that draws, without a generator.
    """

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
        self._estimators = {name: loaded(name) for name in names}
        self._options = Options(generator, chunk, ignore_index, forward)
        self._forward = Forward(network, forward)
        self._plan: Plan | None = None
        self._updates = 0
        self._sums, self._alike = _sums(self._estimators, self._forward, self._options)

    def update(self, data: Any, labels: Tensor | None = None) -> None:
        """Take in a batch.

        Args:
            data: inputs; ``(inputs, labels)``; or a dictionary of inputs that may hold ``labels``.
            labels: where they are not in the batch.

        Raises:
            UserError: importances would be wrong, or the batch does not fit the network; it says why.
        """
        self.add(batch(data, labels))

    @torch.inference_mode(False)
    def look(self, samples: Samples) -> None:
        """Decide how to compute from these samples, drawn from all, before the first batch."""
        samples = samples.prepared(self._forward.device, self._forward.whole)
        with untouched(self._forward.network, self._forward.device):
            self._examine(samples)

    @torch.inference_mode(False)
    def add(self, samples: Samples) -> None:
        """Take in a batch; see :meth:`update`. The network is examined on the first, second, fourth, ... batch."""
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
            rows = None
            if self._plan is None or self._updates & (self._updates - 1) == 0:
                rows = spread(len(samples), PROBE)
                self._examine(samples.take(rows))
            for sums in self._sums:
                if isinstance(sums, MomentSums):
                    sums.add(samples, self._plan, self._options.chunk, rows)
                else:
                    sums.add(samples, self._plan, self._options.chunk)

    def _examine(self, samples: Samples) -> None:
        before = self._plan
        layers = any(sums.needs_layers for sums in self._sums)
        gradients = any(sums.needs_gradients for sums in self._sums)
        self._plan = examine(self._forward, samples, layers, gradients)
        if before is not None:
            self._plan.restrict(before, self._forward)

    @torch.inference_mode(False)
    def result(self) -> dict[str, dict[str, Tensor]]:
        """Estimator's name → parameter name → importance over all batches so far, of the parameter's shape.

        In the parameter's precision; in single precision where that is half.

        Raises:
            UserError: there has been no sample that counts.
        """
        if any(not self._count(sums) for sums in self._sums):
            raise UserError("an importance needs at least one sample that counts; there has been none")
        means = {name: values for sums in self._sums for name, values in sums.means().items()}
        means |= {name: means[other] for name, other in self._alike.items()}
        return {
            name: {
                self._forward.prefix + parameter: _finished(estimator, means.get(name, {}).get(parameter), value)
                for parameter, value in self._forward.parameters.items()
            }
            for name, estimator in self._estimators.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """All sums and counts so far, and where random numbers are: tensors, texts and numbers.

        Save it to go on later with :meth:`load_state_dict`, or send it to another process for :meth:`merge`.
        """
        sums = {f"{place}/{key}": value for place, sums in enumerate(self._sums) for key, value in sums.state().items()}
        return {"format": FORMAT, "names": list(self._estimators), "updates": self._updates, "sums": sums}

    @torch.inference_mode(False)
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state in place of what has been added up.

        Raises:
            UserError: it is of other estimators or of another network.
        """
        for place, of_sums in enumerate(self._checked(state)):
            self._sums[place].restore(of_sums)
        self._updates = int(state["updates"])

    @torch.inference_mode(False)
    def merge(self, other: "Accumulator | Mapping[str, Any]") -> None:
        """Add what another accumulator of the same network and estimators has added up over other samples.

        Estimators that draw labels need generators of different seeds, those that draw probes of the same seed.

        Args:
            other: an accumulator, or its :meth:`state_dict`.

        Raises:
            UserError: it is of other estimators or of another network.
        """
        state = other.state_dict() if isinstance(other, Accumulator) else other
        for place, of_sums in enumerate(self._checked(state)):
            self._sums[place].merge(of_sums)

    def _checked(self, state: Mapping[str, Any]) -> list[dict[str, Tensor]]:
        """The states of the sums, in order."""
        mine = self.state_dict()
        names, expected = state.get("names"), mine["names"]
        if state.get("format") != FORMAT or names != expected:
            raise UserError(
                f"the state is of {names}, expected one of {expected}: give the accumulators the same names"
            )
        for key, total in mine["sums"].items():
            found = state["sums"].get(key)
            if not key.partition("/")[2].startswith("open/") and (found is None or found.shape != total.shape):
                raise UserError(f"the state is of another network, or of other options: '{key}' does not fit")
        states: list[dict[str, Tensor]] = [{} for _ in self._sums]
        for key, value in state["sums"].items():
            place, _, name = key.partition("/")
            states[int(place)][name] = value
        return states

    @staticmethod
    def _count(sums: Sums) -> float:
        return sums.filled[1] + sums.totals[COUNT].item() if isinstance(sums, BatchSums) else sums.totals[COUNT].item()

    def move_on(self) -> None:
        """Move the generator behind what was drawn; of several estimators that drew, behind the last one's."""
        generator = self._options.generator
        if generator is None:
            return
        before = generator.get_state()
        for draw in (draw for sums in self._sums for draw in sums.draws.values()):
            if draw is not None and not torch.equal(draw.get_state(), before):
                generator.set_state(draw.get_state())


def loaded(name: str) -> Estimator:
    """The estimator called ``name``, which is computed from samples.

    Raises:
        UserError: unknown name, or a path estimator.
    """
    estimator = load(name)
    if isinstance(estimator, PathEstimator):
        raise UserError(
            f"'{name}' is a path estimator: it is computed from the training itself. Put the training loop into "
            f"with record(optimizer, network, ['{name}']) as recorded: ... and take recorded.result() at the end."
        )
    return estimator


def _sums(estimators: Mapping[str, Estimator], forward: Forward, options: Options) -> tuple[list[Sums], dict[str, str]]:
    """The sums to keep, and estimator's name → the name that its mean goes by, where that is another's."""
    generator, ignored = options.generator, options.ignore_index
    moment = {
        name: (
            Moment(each.cotangents, each.power, each.needs_labels, each.separate_positions),
            each.batch,
        )
        for name, each in estimators.items()
        if isinstance(each, MomentEstimator)
    }
    alike: dict[str, str] = {}
    found: list[Sums] = [
        BatchSums(forward, name, BatchMoment(each, size), generator, ignored)
        for name, (each, size) in moment.items()
        if size > 1
    ]
    by_sample = {name: each for name, (each, size) in moment.items() if size == 1}
    if by_sample:
        # those that differ in what is made of the mean have the same mean
        first = {each: name for name, each in reversed(by_sample.items())}
        alike = {name: first[each] for name, each in by_sample.items()}
        found.append(MomentSums(forward, {name: each for each, name in first.items()}, generator, ignored))
    probes: dict[int, list[str]] = {}
    for name, estimator in estimators.items():
        if isinstance(estimator, CurvatureEstimator):
            probes.setdefault(estimator.probes, []).append(name)
    if probes and generator is None:
        curved = ", ".join(name for names in probes.values() for name in names)
        raise UserError(f"{curved} draws probes: pass generator=torch.Generator().manual_seed(...)")
    for number in sorted(probes):
        draw = generator.clone_state()
        found.append(CurvatureSums(forward, probes[number], signs(forward, draw, number), ignored))
        found[-1].draws = {"probes": draw}
    found += [
        ReadingSums(forward, name, estimator.reading)
        for name, estimator in estimators.items()
        if isinstance(estimator, StateEstimator) and estimator.reading is not None
    ]
    return found, alike


def _finished(estimator: Estimator, mean: Tensor | None, parameter: Tensor) -> Tensor:
    if isinstance(estimator, StateEstimator):
        return estimator.finish(parameter if mean is None else mean, parameter).to(parameter.dtype)
    return estimator.finish(mean.to(parameter.dtype), parameter)
