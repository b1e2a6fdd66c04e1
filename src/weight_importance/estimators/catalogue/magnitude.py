"""Weight magnitude |θ|: the classic criterion of pruning (Han et al. 2015), here as an importance."""

from torch import Tensor

from weight_importance.estimators.kinds import StateEstimator


def finish(value: Tensor, parameter: Tensor) -> Tensor:
    """Return |θ|, whatever the samples."""
    return parameter.abs()


ESTIMATOR = StateEstimator(
    label="magnitude",
    formula=r"\lvert\theta\rvert",
    source="han2015learning",
    finish=finish,
    mean_of_samples=True,  # the same for every sample
)
