"""From estimators to the sums that are kept for them, and back from means to importances."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Generator, Tensor

from weight_importance.estimators.engine.batches import BatchMoment, BatchSums
from weight_importance.estimators.engine.by_layer import ReadingSums
from weight_importance.estimators.engine.cotangents import Moment
from weight_importance.estimators.engine.curvature import RESIDUAL, CurvatureSums, signs
from weight_importance.estimators.engine.forward import Call, Forward
from weight_importance.estimators.engine.moments import MomentSums
from weight_importance.estimators.engine.sums import Means, Sums
from weight_importance.estimators.kinds import (
    CurvatureEstimator,
    MomentEstimator,
    PathEstimator,
    StateEstimator,
)
from weight_importance.estimators.loading import load
from weight_importance.runtime.errors import UserError


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


Sampled = MomentEstimator | CurvatureEstimator | StateEstimator
"""An estimator that is computed from samples."""


def loaded(name: str) -> Sampled:
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


def sums_of(
    estimators: Mapping[str, Sampled], forward: Forward, options: Options, moments: type[MomentSums]
) -> tuple[list[Sums], dict[str, str]]:
    """The sums to keep, and estimator's name → the name that its mean goes by, where that is another's."""
    generator, ignored = options.generator, options.ignore_index
    curved = {name: each for name, each in estimators.items() if isinstance(each, CurvatureEstimator)}
    moment = {
        name: (
            Moment(each.cotangents, each.power, each.needs_labels, each.separate_positions),
            each.batch,
        )
        for name, each in estimators.items()
        if isinstance(each, MomentEstimator)
    } | {name: (Moment(each.gauss_newton, 2, False, True), 1) for name, each in curved.items()}
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
        found.append(moments(forward, {name: each for each, name in first.items()}, generator, ignored))
    if curved:
        if generator is None:
            raise UserError(f"{', '.join(curved)} draws probes: pass generator=torch.Generator().manual_seed(...)")
        draw = generator.clone_state()
        found.append(CurvatureSums(forward, [*curved], signs(forward, draw), ignored))
        found[-1].draws = {"probes": draw}
    found += [
        ReadingSums(forward, name, estimator.reading)
        for name, estimator in estimators.items()
        if isinstance(estimator, StateEstimator) and estimator.reading is not None
    ]
    return found, alike


def finished(name: str, estimator: Sampled, means: Means, parameter: str, value: Tensor) -> Tensor:
    """The importance of a parameter from the means over samples.

    Args:
        name: of the estimator.
        estimator: its definition.
        means: by name; none where nothing was added up, as for an importance of the weights alone.
        parameter: its name.
        value: of the parameter.
    """
    mean = means.get(name, {}).get(parameter, value)
    if isinstance(estimator, CurvatureEstimator):
        mean = mean + means[RESIDUAL][parameter]
    if isinstance(estimator, StateEstimator):
        return estimator.finish(mean, value).to(value.dtype)
    return estimator.finish(mean.to(value.dtype), value)
