"""Assembly: the sums that estimators need, and importances from their means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Generator, Tensor

from weight_importance.estimators.engine.batches import BatchMoment, BatchSums
from weight_importance.estimators.engine.by_layer import ReadingSums
from weight_importance.estimators.engine.cotangents import Moment
from weight_importance.estimators.engine.curvature import RESIDUAL, CurvatureSums, signs
from weight_importance.estimators.engine.forward import Call, Forward
from weight_importance.estimators.engine.moments import MomentSums
from weight_importance.estimators.engine.sums import Means, Sums
from weight_importance.estimators.kinds import CurvatureEstimator, MomentEstimator, PathEstimator, StateEstimator
from weight_importance.estimators.loading import load_all
from weight_importance.runtime.errors import UserError


@dataclass(frozen=True)
class Options:
    """Options of the computation over samples.

    Attributes:
        generator: random generator, required by estimators that sample labels or probes.
        chunk: samples per pass; by default limited by a fixed memory bound and by 2,500 (16,000 on a GPU).
        ignore_index: label of ignored positions; required for logits ``(N, ..., K)``.
        forward: ``(network, inputs) -> logits``, by default a call of the network.
    """

    generator: Generator | None = None
    chunk: int | None = None
    ignore_index: int | None = None
    forward: Call | None = None


Sampled = MomentEstimator | CurvatureEstimator | StateEstimator
"""An estimator computed from samples."""


def load_sampled(names: Sequence[str]) -> dict[str, Sampled]:
    """Load sample-based estimators, by name.

    Raises:
        UserError: a string in place of a list; unknown name; a path estimator.
    """
    estimators: dict[str, Sampled] = {}
    for name, estimator in load_all(names).items():
        if isinstance(estimator, PathEstimator):
            raise UserError(
                f"'{name}' is a path estimator: it is computed from the training itself. Put the training loop into "
                f"with record(optimizer, network, ['{name}']) as recorded: ... and take recorded.result() at the end."
            )
        estimators[name] = estimator
    return estimators


def sums_of(
    estimators: Mapping[str, Sampled], forward: Forward, options: Options, moments: type[MomentSums]
) -> tuple[list[Sums], dict[str, str]]:
    """Return the sums to accumulate, and estimator name → name of the estimator that provides its mean."""
    generator, ignored = options.generator, options.ignore_index
    curved = {name: each for name, each in estimators.items() if isinstance(each, CurvatureEstimator)}
    moment = {
        name: (Moment(each.cotangents, each.power, each.needs_labels, each.separate_positions), each.batch)
        for name, each in estimators.items()
        if isinstance(each, MomentEstimator)
    } | {name: (Moment(each.gauss_newton, 2, False, True), 1) for name, each in curved.items()}
    by_sample = {name: each for name, (each, size) in moment.items() if size == 1}
    # estimators that differ only in ``finish`` share one mean
    first = {each: name for name, each in reversed(by_sample.items())}
    alike = {name: first[each] for name, each in by_sample.items()}
    sums: list[Sums] = [
        BatchSums(forward, name, BatchMoment(each, size), generator, ignored)
        for name, (each, size) in moment.items()
        if size > 1
    ]
    if curved:
        if generator is None:
            raise UserError(f"{', '.join(curved)} draws probes: pass generator=torch.Generator().manual_seed(...)")
        draw = generator.clone_state()
        sums.append(CurvatureSums(forward, [*curved], signs(forward, draw), ignored))
        sums[-1].draws = {"probes": draw}
    readings = {
        name: estimator.reading
        for name, estimator in estimators.items()
        if isinstance(estimator, StateEstimator) and estimator.reading is not None
    }
    if readings:
        sums.append(ReadingSums(forward, readings))
    if by_sample:  # the last sums, because they free the graph of a pass
        sums.append(moments(forward, {name: each for each, name in first.items()}, generator, ignored))
    return sums, alike


def finished(name: str, estimator: Sampled, means: Means, parameter: str, value: Tensor) -> Tensor:
    """Compute a parameter's importance from the means over samples.

    Args:
        name: estimator name.
        estimator: estimator definition.
        means: means by name; empty for importances of the weights alone.
        parameter: parameter name.
        value: parameter value.
    """
    mean = means.get(name, {}).get(parameter, value)
    if isinstance(estimator, CurvatureEstimator):
        mean = mean + means[RESIDUAL][parameter]
    if isinstance(estimator, StateEstimator):
        return estimator.finish(mean, value).to(value.dtype)
    return estimator.finish(mean.to(value.dtype), value)
