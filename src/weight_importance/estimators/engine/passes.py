"""Forward passes shared by several sums over samples. Knows neither estimators nor what the sums compute."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import ForwardPass, samples_per_pass, watch
from weight_importance.estimators.engine.probe import Plan
from weight_importance.estimators.engine.refusals import refuse_other_size
from weight_importance.estimators.engine.samples import Samples
from weight_importance.estimators.engine.sums import Sums


def add_all(
    sums: Sequence[Sums], forward: Forward, samples: Samples, plan: Plan, chunk: int | None, rows: Tensor | None
) -> None:
    """Run the samples through the network, and update all sums with each forward pass.

    Args:
        sums: at least one; moments last, because they free the graph.
        forward: the network.
        samples: N samples.
        plan: the probe's results.
        chunk: samples per pass; by default limited by a memory bound.
        rows: indices of the probe's samples in ``samples``; ``None`` if it does not contain them.
    """
    order = max(each.derivatives for each in sums)
    if chunk is None:
        chunk = samples_per_pass(max(each.size(plan) for each in sums), plan.logits.device)
    reached = plan.uses if any(each.needs_gradients for each in sums) else ()
    # the math kernel is the only attention kernel that can be differentiated twice
    with sdpa_kernel(SDPBackend.MATH) if order > 1 else nullcontext(), torch.set_grad_enabled(order > 0):
        for start in range(0, len(samples), chunk):
            forward_pass = watch(forward, samples.take(slice(start, start + chunk)), reached)
            if rows is not None:
                _refuse_other_size(forward_pass, plan, rows - start)
            for each in sums:
                each.add(forward_pass, plan)
            del forward_pass  # release the graph before the next pass


def _refuse_other_size(forward_pass: ForwardPass, plan: Plan, rows: Tensor) -> None:
    mask = (rows >= 0) & (rows < len(forward_pass.samples))
    if mask.any():
        refuse_other_size(forward_pass.logits.detach()[rows[mask]], plan.logits[mask], plan.tolerance)
