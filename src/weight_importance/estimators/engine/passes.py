"""Forward passes shared by all sums over samples."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import Watched, samples_per_pass, watch
from weight_importance.estimators.engine.probe import Plan
from weight_importance.estimators.engine.refusals import refuse_other_size
from weight_importance.estimators.engine.samples import Samples
from weight_importance.estimators.engine.sums import Sums


def add_all(
    sums: Sequence[Sums], forward: Forward, samples: Samples, plan: Plan, chunk: int | None, rows: Tensor | None
) -> None:
    """Pass samples through the network, and add each pass to all sums.

    Args:
        sums: at least one; moments first, because they free the graph. They are added in reversed order.
        forward: the network.
        samples: N samples.
        plan: the probe's results.
        chunk: samples per pass; by default limited by a memory bound.
        rows: indices of the probe's samples, if ``samples`` contains them.
    """
    order = max(each.derivatives for each in sums)
    if chunk is None:
        chunk = samples_per_pass(max(each.size(plan) for each in sums), plan.logits.device)
    # one kernel of attention can be differentiated twice
    with sdpa_kernel(SDPBackend.MATH) if order > 1 else nullcontext(), torch.set_grad_enabled(order > 0):
        for start in range(0, len(samples), chunk):
            seen = watch(forward, samples.take(slice(start, start + chunk)))
            if rows is not None:
                _refuse_other_size(seen, plan, rows - start)
            for each in reversed(sums):
                each.add(seen, plan)


def _refuse_other_size(seen: Watched, plan: Plan, rows: Tensor) -> None:
    mask = (rows >= 0) & (rows < len(seen.samples))
    if mask.any():
        refuse_other_size(seen.logits.detach()[rows[mask]], plan.logits[mask], plan.tolerance)
