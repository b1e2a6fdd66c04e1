"""The compared ways to compute an importance, and their measurement in this process.

Other libraries compute it as in ``benchmarks/speed``.
"""

import time
from math import inf
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn.functional import log_softmax

from models.networks import Case, case
from peak_memory import status
from speed import peers
from speed.importances import first_line
from speed.ways import FUNC
from weight_importance import estimate, factored

PEERS = {way.who: way for way in (FUNC, *peers.PEERS)}
"""Other libraries' ways by name."""

PEER_BATCH = 4
"""Samples at once in other libraries: the fastest of 1, 4 and 8 on ResNet-18."""

COMPARED = 100_000
"""Weights of a tensor, drawn at random, whose ranks are compared."""

SCORES = {
    "fisher_empirical": (lambda logits, labels: log_softmax(logits, -1).gather(-1, labels[..., None]).sum(), 2),
    "mas": (lambda logits, _: logits.softmax(-1).square().sum(), 1),
}
"""Estimator → (scalar of one sample's logits and labels, power of its gradient)."""


def loop(name: str, given: Case) -> dict[str, Tensor]:
    """The importance by plain automatic differentiation, one sample at a time."""
    score, power = SCORES[name]
    learnt = {key: parameter for key, parameter in given.network.named_parameters() if parameter.requires_grad}
    totals = {key: torch.zeros_like(parameter, dtype=torch.float64) for key, parameter in learnt.items()}
    for row in range(len(given.inputs)):
        logits, labels = given.network(given.inputs[row : row + 1]), given.labels[row : row + 1]
        counted = labels != -100
        # in double precision: near uniform probabilities, the gradient of Σp² is a difference of nearly equal numbers
        score(logits[counted].double(), labels[counted]).backward()
        for key, parameter in learnt.items():
            totals[key] += parameter.grad.abs() ** power
            parameter.grad = None
    return {key: (total / len(given.inputs)).float() for key, total in totals.items()}


def computed(name: str, way: str, given: Case) -> tuple[dict[str, Tensor], int]:
    """The importance, and the number of values that represent it."""
    if way == "loop":
        importance = loop(name, given)
    elif way == "estimate":
        importance = estimate(name, given.network, given.inputs, given.labels, ignore_index=-100)
    elif way in PEERS:
        importance = PEERS[way].prepare(name, given.network, PEER_BATCH)(given.inputs, given.labels)
    else:
        product = way == "product"
        factors = factored(name, given.network, given.inputs, given.labels, product=product, ignore_index=-100)
        held = [each for two in factors.values() for each in (two.rows, two.columns) if each is not None]
        return {key: two.dense() for key, two in factors.items()}, sum(map(torch.numel, held))
    return importance, sum(map(torch.numel, importance.values()))


def attempted(name: str, way: str, estimator: str, file: Path, samples: int | None) -> dict[str, Any]:
    """The result of :func:`measured`, or the reason why another library fails, as ``failure``."""
    try:
        return measured(name, way, estimator, file, samples)
    except Exception as error:  # other libraries may fail in any way; this project must not
        if way not in PEERS or isinstance(error, ImportError):
            raise
        return {"failure": first_line(error)}


def measured(name: str, way: str, estimator: str, file: Path, samples: int | None) -> dict[str, Any]:
    """Processor seconds and peak memory of one computation; the importance goes into a file.

    Runs over half of the samples and over all separate the time per sample from the fixed time of the probe.
    """
    torch.set_num_threads(1)
    given = case(name)
    few = Case(given.network, given.inputs[:samples], given.labels[:samples])
    # a first computation loads the libraries: their memory and time are not measured
    tiny = Case(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), torch.randn(2, 4), torch.tensor([0, 1]))
    computed(estimator, way, tiny)
    half = len(few.inputs) // 2
    before, start = status("VmRSS"), time.process_time()
    computed(estimator, way, Case(few.network, few.inputs[:half], few.labels[:half]))
    middle = time.process_time()
    importance, numbers = computed(estimator, way, few)
    whole_run, peak = time.process_time() - middle, status("VmHWM")
    each = (whole_run - (middle - start)) / (len(few.inputs) - half)
    save_file({key: value.contiguous() for key, value in importance.items()}, file)
    learnt = sum(parameter.numel() for parameter in few.network.parameters() if parameter.requires_grad)
    return {
        "parameters": learnt, "samples": len(few.inputs), "numbers": numbers,
        "seconds_per_sample": each, "seconds_fixed": whole_run - each * len(few.inputs),
        "peak_mib": (peak - before) / 2**20,
    }  # fmt: skip


def errors(truth: Path, file: Path) -> dict[str, float]:
    """Compare an importance with that of the loop.

    Returns:
        ``error``: the largest difference over the largest value, of the worst tensor; ``spearman``: the rank
        correlation within weight tensors, mean over these.
    """
    reference, importance = load_file(truth), load_file(file)
    worst = max(
        ((importance[key] - reference[key]).abs().nan_to_num(inf, inf).max() / reference[key].abs().max()).item()
        for key in reference
    )
    correlations = []
    for key, values in reference.items():
        if values.ndim > 1:
            chosen = torch.randint(values.numel(), (COMPARED,), generator=torch.Generator().manual_seed(0))
            one, other = values.flatten()[chosen], importance[key].flatten()[chosen]
            if one.ne(one[0]).any() and other.ne(other[0]).any():
                correlations.append(spearmanr(one, other).statistic)
    return {"error": worst, "spearman": sum(correlations) / len(correlations)}
