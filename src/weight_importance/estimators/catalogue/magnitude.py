"""Weight magnitude |θ|: the classic criterion of pruning (Han et al. 2015), here as an importance."""

from torch import Tensor, nn

from weight_importance.estimators.kinds import StateEstimator


def importance(network: nn.Module, inputs: Tensor, chunk: int | None) -> dict[str, Tensor]:
    """|θ| for every parameter; the inputs play no part."""
    return {name: parameter.detach().abs() for name, parameter in network.named_parameters()}


ESTIMATOR = StateEstimator(
    label="magnitude",
    formula=r"\lvert\theta\rvert",
    source="han2015learning",
    importance=importance,
    mean_of_samples=True,  # every sample gives the same
)
