"""The probe of a network on a few samples: refuses unsuitable networks and plans the computation of each parameter.

Plain automatic differentiation, one sample at a time, is the reference for the batch's logits, each closed form and the
gradients of ``torch.func``. Layers that disagree or fail are computed one sample at a time.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weight_importance.estimators.engine import refusals
from weight_importance.estimators.engine.alone import Gradients, pull_back
from weight_importance.estimators.engine.closed_forms import Truth, candidates, disagreeing, parameter_names
from weight_importance.estimators.engine.forms import FORMS
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import PROBE, Call, Place, measured, pulled_back
from weight_importance.estimators.engine.samples import HALVES, Samples, tensors
from weight_importance.estimators.engine.uses import AXES, Use, bytes_per_sample, find, of_sample
from weight_importance.estimators.engine.vectorised import parts, per_sample
from weight_importance.runtime.errors import UserError

TOLERANCE = 1e-3
"""Relative error up to which two ways agree; structural errors are far above rounding."""

REDUCED_TOLERANCE = 3e-2
"""Tolerance for networks that compute in half precision (autocast)."""


class SlowWarning(UserWarning):
    """Some importances are computed one sample at a time."""


@dataclass
class Plan:
    """Results of a probe on a few samples.

    Attributes:
        samples: the probe's samples.
        logits: logits of each sample passed alone, ``(n, ..., K)``.
        layers: layers with a closed form, in the order of execution.
        uses: parameter outside these layers, with a closed form → sample axis of its use.
        vectorised: parameters with gradients by ``torch.func``.
        looped: parameters computed one sample at a time.
        size: bytes that a pass records per sample.
        tolerance: relative error up to which two ways agree.
    """

    samples: Samples
    logits: Tensor
    layers: list[str]
    uses: dict[str, int]
    vectorised: list[str]
    looped: list[str]
    size: int
    tolerance: float

    def covered(self, forward: Forward) -> set[str]:
        """Return the parameters of layers with a closed form."""
        return {name for layer in self.layers for name in parameter_names(layer, forward.network)}

    def others(self, forward: Forward) -> list[str]:
        """Return the parameters without a closed form."""
        closed = self.covered(forward) | self.uses.keys()
        return [name for name in forward.parameters if name not in closed]

    def restrict(self, earlier: "Plan", forward: Forward) -> None:
        """Keep only the ways of computing that also held on an earlier probe."""
        self.layers = [layer for layer in self.layers if layer in earlier.layers]
        if len(earlier.samples) > 1:  # with one sample, the sample axis is unknown
            self.uses = {name: axis for name, axis in self.uses.items() if earlier.uses.get(name) == axis}
        looped, others = {*self.looped, *earlier.looped}, self.others(forward)
        self.looped = [name for name in others if name in looped]
        self.vectorised = [name for name in others if name not in looped]


def examine(forward: Forward, samples: Samples, gradients: bool = True) -> Plan:
    """Probe a network on a few samples.

    Args:
        forward: the network; stores whether calls modify inputs or weights. Weights of convolutions are stored with
            channels last on a CPU; if the network fails or differs then, it is probed again in the usual format.
        samples: a few samples.
        gradients: whether to choose a way to compute the gradients of parameters without a closed form.

    Raises:
        UserError: the network cannot be called on the samples, samples influence each other, the output is random, or
            no parameter has a gradient.
    """
    # on a CPU, pooling and the backward pass of batch normalisation are faster with channels last
    if forward.any_order and forward.arrange(torch.channels_last):
        try:
            return _examined(forward, samples, gradients)
        except Exception:  # a view of a layer's output, for example; or a failure in any order
            forward.use_contiguous()
    return _examined(forward, samples, gradients)


def _examined(forward: Forward, samples: Samples, gradients: bool) -> Plan:
    refusals.refuse_batch_statistics(forward.network)
    logits, calls, leaves, size = _first_pass(forward, samples)
    halves = logits.dtype in HALVES or any(call.output.dtype in HALVES for call in calls)
    tolerance = REDUCED_TOLERANCE if halves else TOLERANCE
    refusals.refuse_random_output(forward, samples, logits.detach(), tolerance / 100)
    cotangent = _random(logits)
    tried = candidates(forward, calls, len(samples))
    uses = find(logits, leaves, len(samples), dict.fromkeys(leaves, AXES))
    pulled = _pulled(logits, [*(call.output for call in tried), *(use.edge for use in uses)], cotangent)
    if pulled is None:
        tried, uses, pulled = [], [], []
    at_uses = [each for each in pulled[len(tried) :] if each is not None]
    uses = [use for use, each in zip(uses, pulled[len(tried) :], strict=True) if each is not None]
    size += bytes_per_sample(uses, at_uses)
    wrong: set[str] = set()
    wrong_uses: set[tuple[str, int]] = set()
    alone, connected = [], False
    for row in range(len(samples)):
        one, at_logits = samples.take(slice(row, row + 1)), [cotangent[row : row + 1]]

        def compare(_: int, truth: Gradients, row: int = row) -> None:
            nonlocal connected
            connected = connected or bool(truth)
            known = Truth(truth)
            wrong.update(disagreeing(tried, pulled[: len(tried)], row, known, tolerance))
            wrong_uses.update(
                (use.name, use.axis)
                for use, gradient in zip(uses, at_uses, strict=True)
                if not known.agrees(use.name, of_sample(use, gradient, row), tolerance)
            )

        own = pull_back(forward, one, forward.parameters, at_logits, compare)
        alone.append(own)
        refusals.refuse_influence(forward, samples, row, logits.detach(), own, tolerance)
    if gradients and not connected and forward.parameters:
        raise UserError(
            "no parameter has a gradient: the network's output is detached from all of them. Remove torch.no_grad, "
            "torch.inference_mode and .detach() from its forward."
        )
    left = [use for use in uses if (use.name, use.axis) not in wrong_uses]
    right = _with_one_axis(left)
    if not halves and (wrong or {use.name for use in uses} - {use.name for use in left}):
        layers, more = _closed_in_double(forward, samples)
        wrong -= layers
        right |= more
    closed = [call.name for call in tried if call.name not in wrong]
    plan = Plan(samples, torch.cat(alone), closed, {}, [], [], size, tolerance)
    covered = plan.covered(forward)
    plan.uses = {name: axis for name, axis in right.items() if name not in covered}
    if gradients:
        _choose(forward, plan, plan.others(forward), cotangent)
    return plan


def _closed_in_double(forward: Forward, samples: Samples) -> tuple[set[str], dict[str, int]]:
    """Return the layers and uses whose closed form holds in double precision; none if the network cannot run in it."""
    double = forward.in_double()
    if double is None:
        return set(), {}
    try:
        plan = examine(double, samples.in_double(), gradients=False)
        return set(plan.layers), plan.uses
    except Exception:  # the network may fail in any way in another precision
        return set(), {}


def _with_one_axis(uses: Sequence[Use]) -> dict[str, int]:
    """Return parameter → sample axis, where exactly one axis gives the right gradients; one sample cannot decide."""
    names = [use.name for use in uses]
    return {use.name: use.axis for use in uses if names.count(use.name) == 1 and use.samples > 1}


def _outside_layers(forward: Forward) -> Iterator[str]:
    """Yield the parameters of modules whose type has no closed form, and of embeddings."""
    for name in forward.parameters:
        if type(forward.network.get_submodule(name.rpartition(".")[0])) not in FORMS:
            yield name


def _first_pass(forward: Forward, samples: Samples) -> tuple[Tensor, list[Call], dict[str, Tensor], int]:
    """Run a watched pass on copies, to detect what the network modifies."""
    forward.changes_inputs, forward.changes_weights = False, True
    failure: Exception | None = None
    for reached in ([*_outside_layers(forward)], []):
        copies, replaced = samples.copied(), forward.tensors()
        leaves = {name: replaced[name].requires_grad_() for name in reached}
        try:
            logits, calls, size = measured(forward, copies, replaced)
            break
        except UserError:
            raise
        except Exception as error:  # some operations refuse parameters that require gradients
            failure = error
    else:
        try:
            logits, calls, size = forward.logits(samples.copied(), forward.tensors()), [], 0
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"the network cannot be called on these inputs ({refusals.described(samples.inputs)}): "
                f"{type(error).__name__}: {error}. Check their shape, dtype and device, or say how to call it with "
                "forward=lambda network, inputs: ..."
            ) from failure
    before = forward.fixed | forward.parameters
    limits = any(isinstance(module, nn.Embedding) and module.max_norm for module in forward.network.modules())
    forward.changes_weights = limits or not all(torch.equal(replaced[name], before[name]) for name in before)
    pairs = zip(tensors(copies.inputs), tensors(samples.inputs), strict=True)
    forward.changes_inputs = not all(torch.equal(after, first) for after, first in pairs)
    if not logits.requires_grad:
        return logits, [], {}, size
    return logits, calls, {} if forward.changes_weights else leaves, size


def _random(logits: Tensor) -> Tensor:
    """Draw a random cotangent."""
    return torch.empty_like(logits).normal_(generator=torch.Generator(logits.device).manual_seed(0))


def _pulled(logits: Tensor, places: Sequence[Place], cotangent: Tensor) -> list[Tensor | None] | None:
    """Return the gradients at places of the graph; ``None`` if one backward pass cannot compute them."""
    if not places:
        return []
    try:
        return list(pulled_back(logits, places, cotangent))
    except RuntimeError:  # a layer recomputes, or overwrites a saved tensor
        return None


def found_again(plan: Plan, logits: Tensor, leaves: Mapping[str, Tensor], samples: int) -> list[Use]:
    """Return the plan's uses in the graph of another pass.

    Changes the plan: parameters that this pass uses differently are differentiated by ``torch.func`` from now on.
    """
    uses = find(logits, leaves, samples, {name: [axis] for name, axis in plan.uses.items()})
    others = plan.uses.keys() - {use.name for use in uses}
    plan.vectorised += sorted(others)
    plan.uses = {name: axis for name, axis in plan.uses.items() if name not in others}
    return uses


def _choose(forward: Forward, plan: Plan, names: list[str], cotangent: Tensor) -> None:
    """Divide parameters without a closed form between ``torch.func`` and one sample at a time."""
    if not names:
        return
    wrong: set[str] = set()
    reason = ""
    for part in parts(forward, names, plan.samples, 2, plan.size):
        some = plan.samples.take(part)
        try:
            results = per_sample(forward, names, some, cotangent[part][:, None])
        except Exception as error:  # torch.func and the network may fail in any way
            wrong, reason = set(names), f" ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
            break
        wrong |= _disagreeing(forward, plan, results, some, cotangent[part][:, None])
    plan.vectorised = [name for name in names if name not in wrong]
    go_alone(plan, [name for name in names if name in wrong], reason)


def go_alone(plan: Plan, names: list[str], reason: str = "") -> None:
    """Switch parameters to one sample at a time, with a warning."""
    plan.vectorised = [name for name in plan.vectorised if name not in names]
    new = [name for name in names if name not in plan.looped]
    if new:
        plan.looped += new
        some = ", ".join(new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")
        warnings.warn(
            f"importances of {some} are computed one sample at a time, which is right but slow: torch.func does not "
            f"vectorise the network's gradients correctly{reason}",
            SlowWarning,
            stacklevel=2,
        )


def checked_per_sample(
    forward: Forward, plan: Plan, names: list[str], samples: Samples, cotangents: Tensor, verified: bool
) -> tuple[dict[str, Tensor], set[str]]:
    """Return per-sample gradients by ``torch.func``, and the parameters for which they fail or are wrong.

    Args:
        forward, names, samples, cotangents: as for :func:`per_sample`.
        plan: the probe's results.
        verified: gradients of this shape have been checked before.
    """
    try:
        results = per_sample(forward, names, samples, cotangents)
    except Exception:  # as in the probe, for data not in it
        return {}, set(names)
    return results, set() if verified else _disagreeing(forward, plan, results, samples, cotangents)


def _disagreeing(
    forward: Forward, plan: Plan, results: dict[str, Tensor], samples: Samples, cotangents: Tensor
) -> set[str]:
    """Return the names of gradients ``(N, C, ...)`` that differ from plain automatic differentiation."""
    wrong: set[str] = set()
    for row in range(min(len(samples), PROBE)):

        def compare(index: int, truth: Gradients, row: int = row) -> None:
            known = Truth(truth)
            wrong.update(
                name
                for name, gradients in results.items()
                if not known.agrees(name, gradients[row, index].clone(), plan.tolerance)
            )

        alone = [cotangents[row : row + 1, index] for index in range(min(2, cotangents.shape[1]))]
        pull_back(forward, samples.take(slice(row, row + 1)), forward.parameters, alone, compare)
    double = forward.in_double() if wrong and plan.tolerance == TOLERANCE else None
    if double is None:
        return wrong
    try:
        samples, cotangents = samples.in_double(), cotangents.double()
        results = per_sample(double, sorted(wrong), samples, cotangents)
        return _disagreeing(double, plan, results, samples, cotangents)
    except Exception:  # the network may fail in any way in another precision
        return wrong
