"""Importances by every estimator and training steps on the GPU, compared with the CPU in float32 and float64.

Both devices start from the same weights and Adam state. Errors are maxima over parameter tensors of two quantities:
``max_error`` is the largest absolute difference over the largest absolute value of the CPU's tensor, ``norm_error`` the
Frobenius norm of the difference over that of the CPU's tensor. Parameters are compared by their change in training.

Biases of convolutions before batch normalisation are listed separately, without a threshold: in training mode their
gradient is zero, and Adam scales its rounding error to full steps; running means follow these biases.

``rounding`` is the norm error of the CPU's float32 against the CPU's float64. A comparison passes when ``norm_error``
is within the threshold, or in float32 within ten times the rounding.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gpu.setting import Optimisation, Table, begin, is_path_estimator, parser, training_samples, untrained_estimators
from weight_importance.data.samples import Samples, to_inputs
from weight_importance.estimators import registry
from weight_importance.estimators.path import RECORDS, PathRecorder, importance
from weight_importance.files.trained import AdamState
from weight_importance.learning.engine.optimiser import QuadraticPenalty
from weight_importance.learning.loop import Options, train
from weight_importance.learning.networks import NETWORKS
from weight_importance.learning.penalty import Consolidation
from weight_importance.learning.replicas import Replicas, initialise, stack

COLUMNS = (
    "network", "precision", "compared", "name", "max_error", "norm_error", "tensor", "rounding", "threshold", "passed",
)  # fmt: skip
THRESHOLDS = {torch.float64: 1e-9, torch.float32: 1e-3}
"""Of ``norm_error``: far above rounding, far below any mistake. Float64 comes first, as the reference for float32."""

ROUNDING = 10
"""How many times the rounding of the CPU's float32 is accepted in float32."""

SEEDS = (0, 1, 2)

UNDETERMINED = ("conv1.bias", "conv2.bias", "conv3.bias", "running_mean")
"""Suffixes of tensors whose values in training are rounding errors or depend on them."""

Values = Mapping[str, Tensor]
Pair = tuple[str, str, Values, Values]
"""Kind of comparison, name, values of the device, values of the CPU."""


class InPrecision(nn.Module):
    """A network that takes its inputs in the precision of its weights.

    Inputs are multiples of 1/255 in float32, which devices round differently: they are formed again.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network((inputs.to(next(self.network.parameters()).dtype) * 255).round() / 255)


def main() -> None:
    options = parser(__doc__).parse_args()
    device = begin(options)
    torch.set_num_threads(options.threads)
    path = options.output / "correctness.csv"
    path.unlink(missing_ok=True)
    table = Table(path, COLUMNS)
    data = training_samples("mnist_subset")
    failures = 0
    for name, (learnt, samples, batch, steps) in sizes(options.quick).items():
        start = initialise(NETWORKS[name], [0], device)
        optimisation = Optimisation()
        some = data.at_most(learnt * optimisation.batch_size).to(device)
        train(start, [some], 0, epochs=1, optimisation=optimisation)
        network = copy.deepcopy(start.network(0)).cpu()
        exact: dict[tuple[str, str], Values] = {}
        for precision, threshold in THRESHOLDS.items():
            network = network.to(precision)
            some = data.last(samples)
            pairs = importances(network, to_inputs(some.images).to(precision), some.labels, device)
            pairs += training(network, start.adam, precision, data.last(batch * steps), batch, device)
            failures += judge(table, name, precision, pairs, threshold, exact)
    if failures:
        raise SystemExit(f"{failures} comparisons beyond their threshold")


def sizes(quick: bool) -> dict[str, tuple[int, int, int, int]]:
    """By network: steps of training before, samples of the importances, images per step, steps compared."""
    if quick:
        return {"mlp": (3, 20, 20, 11), "cnn": (1, 4, 5, 11)}
    return {"mlp": (30, 500, 100, 12), "cnn": (30, 64, 50, 12)}


def judge(
    table: Table, network: str, precision: torch.dtype, pairs: Sequence[Pair], threshold: float,
    exact: dict[tuple[str, str], Values],
) -> int:  # fmt: skip
    """Write a row for every pair, print the largest errors of every group; returns how many are beyond the threshold.

    ``exact`` holds the CPU's values: filled in float64, compared with in float32.
    """
    label = str(precision).removeprefix("torch.")
    worst: dict[str, list[tuple[float, float, str]]] = {}
    failures = 0
    for kind, name, values, reference in pairs:
        if precision == torch.float64:
            exact[kind, name] = {key: value.clone() for key, value in reference.items()}
        for undetermined in (False, True):
            part = {key: value for key, value in reference.items() if key.endswith(UNDETERMINED) == undetermined}
            if kind == "importance" and not is_path_estimator(name):
                part = {} if undetermined else reference
            if not part:
                continue
            largest, norm, tensor = errors(values, part)
            shown = f"{name} (undetermined)" if undetermined else name
            row = [network, label, kind, shown, f"{largest:.3g}", f"{norm:.3g}", tensor]
            if undetermined:
                table.add((*row, "", "", ""))
                continue
            rounding, limit = float("nan"), threshold
            if precision == torch.float32:
                rounding = errors(reference, {key: exact[kind, name][key] for key in part})[1]
                limit = max(threshold, ROUNDING * rounding)
            passed = norm <= limit
            failures += not passed
            table.add((*row, f"{rounding:.3g}", threshold, "yes" if passed else "no"))
            worst.setdefault(kind, []).append((norm, largest, name))
            if not passed or norm > threshold:
                print(f"  {kind} {name}: norm_error {norm:.1e} ({tensor}), rounding {rounding:.1e}", flush=True)
    for kind, group in worst.items():
        norm, _, name = max(group)
        print(
            f"{network:4} {label:8} {kind:11} {len(group):3} compared, largest max_error "
            f"{max(each[1] for each in group):.1e}, norm_error {norm:.1e} ({name}), threshold {threshold:.0e}",
            flush=True,
        )
    return failures


def importances(network: nn.Module, inputs: Tensor, labels: Tensor, device: torch.device) -> list[Pair]:
    """The importances by every estimator that needs no training."""
    names = untrained_estimators()
    reference, values = (
        registry.estimate_all(
            names, copy.deepcopy(network).to(place), inputs.to(place), labels.to(place),
            generator=torch.Generator().manual_seed(0),
        )
        for place in (torch.device("cpu"), device)
    )  # fmt: skip
    return [("importance", name, values[name], reference[name]) for name in names]


def training(
    network: nn.Module, adam: AdamState, precision: torch.dtype, data: Samples, batch: int, device: torch.device
) -> list[Pair]:
    """Training steps without a penalty, under a penalty, and with every record."""
    pairs: list[Pair] = []
    for what in ("plain", "penalty", "records"):
        results = []
        for place in (device, torch.device("cpu")):
            replicas = stack([InPrecision(copy.deepcopy(network)) for _ in SEEDS], SEEDS, place)
            replicas.adam = carried(adam, precision, place)
            before = {name: value.clone() for name, value in replicas.parameters.items()}
            recorder = PathRecorder([*RECORDS]) if what == "records" else None
            train(
                replicas, [data.to(place)] * len(SEEDS), 0, epochs=1, optimisation=Optimisation(batch),
                penalty=penalty(replicas) if what == "penalty" else None, recorder=recorder,
                options=Options(carry_adam=True),
            )  # fmt: skip
            recorded = recorder.recorded() if recorder else None
            results.append((change(replicas.parameters, before), dict(replicas.buffers), recorded))
        (moved, buffers, recorded), (reference, reference_buffers, reference_recorded) = results
        pairs.append(("training", f"{what}: parameters", moved, reference))
        if buffers:
            pairs.append(("training", f"{what}: buffers", buffers, reference_buffers))
        for name in filter(is_path_estimator, registry.names() if recorded else ()):
            values = (importance(registry.load(name), each) for each in (recorded, reference_recorded))
            pairs.append(("importance", name, *values))
    return pairs


def penalty(replicas: Replicas) -> QuadraticPenalty:
    """A penalty around other weights, with the squared weights as importances and a different λ for each replica."""
    consolidation = Consolidation(torch.tensor([1.0, 10.0, 100.0], device=replicas.device), clamp_negative=True)
    anchors = {name: value * 0.9 for name, value in replicas.parameters.items()}
    consolidation.task_learnt(anchors, {name: value.square() for name, value in replicas.parameters.items()})
    return consolidation.penalty()


def carried(adam: AdamState, precision: torch.dtype, device: torch.device) -> AdamState:
    """Adam's state of one network for every replica."""
    first, second = (
        {f"network.{name}": mean.to(device, precision).expand(len(SEEDS), *mean.shape[1:]).clone()
         for name, mean in means.items()}
        for means in (adam.first, adam.second)
    )  # fmt: skip
    return AdamState(adam.steps, first, second)


def change(after: Values, before: Values) -> dict[str, Tensor]:
    """The displacement of every parameter."""
    return {name: after[name] - before[name] for name in after}


def errors(values: Values, reference: Values) -> tuple[float, float, str]:
    """The largest ``max_error`` and ``norm_error`` over all tensors, and the name of the tensor with the latter."""
    largest, norm, worst = 0.0, 0.0, ""
    for name, truth in reference.items():
        truth = truth.double()
        difference = values[name].cpu().double() - truth
        if not difference.isfinite().all():
            return float("inf"), float("inf"), name
        if difference.any():
            largest = max(largest, (difference.abs().max() / truth.abs().max()).item())
            of_tensor = (difference.norm() / truth.norm()).item()
            if of_tensor > norm:
                norm, worst = of_tensor, name
    return largest, norm, worst


if __name__ == "__main__":
    main()
