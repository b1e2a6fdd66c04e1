"""One for every parameter: the penalty is the plain L2 distance from the anchor, the baseline of every importance."""

from torch import Tensor

from weight_importance.estimators.kinds import StateEstimator


def finish(value: Tensor, parameter: Tensor) -> Tensor:
    """Return 1 everywhere, whatever the samples."""
    return parameter.detach().new_ones(parameter.shape)


ESTIMATOR = StateEstimator(
    label="L2",
    formula="1",
    source="kirkpatrick2017overcoming",
    finish=finish,
    mean_of_samples=True,  # the same for every sample
)
