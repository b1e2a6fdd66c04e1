"""The engine: moments of the per-sample gradient of a scalar function of the network's output.

For cotangents c at the logits of sample n with weights w, the pull-back is s_nc = (∂z_n/∂θ)ᵀ c, and the moment of power
q is the mean over samples of Σ_c w_nc |s_nc|^q, per parameter. For a linear layer with input a and back-propagated
gradient g, the per-sample gradient is the outer product g aᵀ, hence Σ_n w |g aᵀ|^q = (w|g|^q)ᵀ(|a|^q): one exact matrix
product, without a tensor of size samples × parameters. Per-sample gradients of weights used at several positions are
formed for a few samples at a time (see :mod:`weight_importance.estimators.engine.forms`), also for some parameters
outside layers (:mod:`weight_importance.estimators.engine.uses`). All other parameters use ``torch.func``, or one sample
at a time.

Memory beyond inputs and network is bounded for any number of samples or classes: ``PASS_BYTES`` (forward pass and
gradients at the layers) + ``PRODUCT_BYTES`` (per-sample gradients in closed form; a convolution may also copy its
input) + ``FALLBACK_BYTES`` (per-sample gradients by ``torch.func``) + ``BLOCK_BYTES`` per moment (cotangents) + a few
numbers per parameter (float64 totals, a partial sum, the check's gradient). Several moments together add one number per
moment, sample of a pass and layer output. A single sample that exceeds a bound is computed alone; the numerical
libraries' own memory is not included.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Generator, Tensor

from weight_importance.estimators.engine.alone import Gradients, pull_back
from weight_importance.estimators.engine.closed_forms import single_calls
from weight_importance.estimators.engine.cotangents import Moment, needed_bytes, steps, targets
from weight_importance.estimators.engine.forward import Forward
from weight_importance.estimators.engine.layers import Call, ForwardPass
from weight_importance.estimators.engine.probe import Plan, checked_per_sample, found_again, go_alone
from weight_importance.estimators.engine.products import PullBack, Term, power_sums
from weight_importance.estimators.engine.samples import Samples
from weight_importance.estimators.engine.sums import COUNT, Sums
from weight_importance.estimators.engine.uses import Use
from weight_importance.estimators.engine.vectorised import parts


class MomentSums(Sums):
    """Sums over samples of Σ_c w_c |s_c|^power for every parameter, for several moments together.

    The moments share the forward pass, the pull-back of equal cotangents and its products, and the powers of layer
    inputs.

    Args:
        forward: the network.
        wanted: moments by name.
        generator: random generator for cotangents that sample labels; each moment draws as if it were alone.
        ignored: the ignored label.

    Attributes:
        draws: each moment's generator, past the numbers drawn.
    """

    derivatives = 1
    needs_gradients = True

    def __init__(
        self, forward: Forward, wanted: Mapping[str, Moment], generator: Generator | None, ignored: int | None
    ) -> None:
        super().__init__(forward, list(wanted))
        self._wanted, self._ignored = wanted, ignored
        self.draws = {key: None if generator is None else generator.clone_state() for key in wanted}
        self._verified: set[tuple[int, int, tuple[str, ...]]] = set()

    def size(self, plan: Plan) -> int:
        probed = targets(plan.logits, plan.samples.labels, self._ignored)
        return plan.size + needed_bytes(self._wanted, self.draws, plan.logits, probed)

    def add(self, forward_pass: ForwardPass, plan: Plan) -> None:
        samples, logits = forward_pass.samples, forward_pass.logits
        one_by_one = len(samples) == 1 and self.forward.loses_axis
        closed = [] if one_by_one else single_calls(plan.layers, forward_pass.calls, len(samples))
        if closed is None:
            others = [name for name in self.forward.parameters if name in plan.covered(self.forward)]
            plan.layers, closed = [], []
            go_alone(plan, others, ": its layers are called differently from batch to batch")
        uses = [] if one_by_one else found_again(plan, logits, forward_pass.leaves, len(samples))
        vectorised, looped = list(plan.vectorised), list(plan.looped)
        if one_by_one:
            vectorised, looped = [], list(self.forward.parameters)
        target = targets(logits, samples.labels, self._ignored)
        self.totals[COUNT] += target.samples
        previous: list[PullBack] = []
        for pull_backs in steps(self._wanted, self.draws, logits.detach(), target):
            if previous:
                self._closed(closed, uses, logits, previous, True)
            previous = pull_backs
            if looped:
                self._alone(samples, pull_backs, looped)
            if vectorised:
                self._vectorised(samples, pull_backs, plan, vectorised)
        self._closed(closed, uses, logits, previous, False)

    def _closed(
        self, calls: list[Call], uses: list[Use], logits: Tensor, pull_backs: list[PullBack], keep: bool
    ) -> None:
        """Add the sums for layers and uses with a closed form."""
        for key, name, part in power_sums(calls, uses, logits, pull_backs, keep):
            if name in self.forward.parameters:
                self._put(key, name, part)

    def _put(self, key: str, name: str, part: Tensor) -> None:
        """Add a partial sum with as many elements as the parameter."""
        total = self.totals[f"{key}/{name}"]
        total += part.view_as(total)

    def _vectorised(self, samples: Samples, pull_backs: list[PullBack], plan: Plan, names: list[str]) -> None:
        """Add the sums for parameters by ``torch.func``; the first part of every size is checked."""
        moments = {term.key for each in pull_backs for term in each.terms}
        cotangents = torch.stack([each.cotangent for each in pull_backs], 1)
        tensors, recorded = len(pull_backs) + len(moments), plan.size * len(pull_backs)
        for part in parts(self.forward, names, samples, tensors, recorded):
            some, at_logits = samples.take(part), cotangents[part]
            size = (len(some), len(pull_backs), tuple(names))
            results, wrong = checked_per_sample(self.forward, plan, names, some, at_logits, size in self._verified)
            self._verified.add(size)
            rest = [_of_samples(each, part) for each in pull_backs]
            if wrong:
                go_alone(plan, sorted(wrong))
                self._alone(some, rest, wrong)
            for name, gradients in results.items():
                if name in wrong:
                    continue
                for index, each in enumerate(rest):
                    values = gradients[:, index].reshape(len(gradients), -1)
                    for term in each.terms:
                        self._put(term.key, name, term.weight.to(values.dtype) @ values.abs().pow(term.power))

    def _alone(self, samples: Samples, pull_backs: list[PullBack], names: Iterable[str]) -> None:
        """Add the sums for parameters computed one sample at a time."""
        for row in range(len(samples)):
            of_row = [_of_samples(each, slice(row, row + 1)) for each in pull_backs]

            def take(index: int, gradients: Gradients, of_row: list[PullBack] = of_row) -> None:
                for name, gradient in gradients.items():
                    for term in of_row[index].terms:
                        powered = gradient.abs().pow(term.power)
                        self._put(term.key, name, term.weight.to(powered.dtype) * powered)

            cotangents = [each.cotangent for each in of_row]
            pull_back(self.forward, samples.take(slice(row, row + 1)), names, cotangents, take)


def _of_samples(pull_back: PullBack, part: slice) -> PullBack:
    terms = [Term(term.key, term.power, term.weight[part]) for term in pull_back.terms]
    return PullBack(pull_back.cotangent[part], terms)
