"""Path estimators in any training loop: a context manager records the optimiser's steps."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from weight_importance.estimators.engine.samples import HALVES
from weight_importance.estimators.kinds import PathEstimator
from weight_importance.estimators.loading import load_path
from weight_importance.estimators.path import PathRecorder, importance
from weight_importance.runtime.errors import UserError


class Recording:
    """Record of an optimiser's steps on the parameters of a network.

    Args:
        optimizer: any optimiser of ``torch.optim``, or one with the same hooks.
        network: the network whose parameters it updates.
        estimators: path estimators by name.
        penalty: ``network -> scalar``, the penalty in the loss.
        independent: ``() -> loss of another batch``, for estimators that need its gradient.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        network: nn.Module,
        estimators: dict[str, PathEstimator],
        penalty: Callable[[nn.Module], Tensor] | None,
        independent: Callable[[], Tensor] | None,
    ) -> None:
        self._optimizer, self._network, self._estimators = optimizer, network, estimators
        self._penalty, self._independent = penalty, independent
        self._parameters = {name: each for name, each in network.named_parameters() if each.requires_grad}
        records = {
            record
            for estimator in estimators.values()
            for record in estimator.records
            if not (record in estimator.kept and _is_adaptive(optimizer))
        }
        self._recorder = PathRecorder(sorted(records))
        self._before: dict[str, Tensor] = {}
        self._gradients: dict[str, dict[str, Tensor]] = {}
        if self._recorder.needs_independent and independent is None:
            raise UserError(
                f"{', '.join(estimators)} needs the gradient of an independent batch at every step: pass "
                "independent=lambda: loss of another batch"
            )

    def before(self, optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        """Store weights and gradients before a step."""
        # the first argument is the optimiser itself
        if any(callable(argument) for argument in [*args[1:], *kwargs.values()]):
            raise UserError(
                "an optimiser that computes gradients inside its step (step(closure), as LBFGS) cannot be recorded; "
                "call backward() before step()"
            )
        self._before = {name: _whole(parameter).clone() for name, parameter in self._parameters.items()}
        if not self._recorder.records:
            return
        gradients = {name: _gradient(parameter) for name, parameter in self._parameters.items()}
        plain = gradients
        if self._penalty is not None:
            parts = self._differentiated(self._penalty(self._network))
            plain = {name: gradient - parts[name] for name, gradient in gradients.items()}
        independent = {}
        if self._recorder.needs_independent and self._independent is not None:
            independent["independent"] = self._differentiated(self._independent())
        # a copy: the optimiser may change gradients in place, for weight decay
        copied = {name: gradient.clone() for name, gradient in gradients.items()}
        self._gradients = {
            "gradients": copied if plain is gradients else plain, "penalised": copied, **independent
        }  # fmt: skip

    def after(self, optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        """Record the change of the weights after a step."""
        moved = {name: _whole(parameter) - self._before[name] for name, parameter in self._parameters.items()}
        arguments = self._gradients or {"gradients": moved}  # path estimators without gradients ignore this argument
        self._recorder.step(arguments.pop("gradients"), moved, **arguments)
        self._before, self._gradients = {}, {}

    def _differentiated(self, loss: Tensor) -> dict[str, Tensor]:
        with torch.enable_grad():
            gradients = torch.autograd.grad(loss, list(self._parameters.values()), materialize_grads=True)
        return {name: _whole(gradient) for name, gradient in zip(self._parameters, gradients, strict=True)}

    def result(self) -> dict[str, dict[str, Tensor]]:
        """Return the importances from all steps so far.

        Returns:
            estimator name → parameter name → tensor of the parameter's shape.

        Raises:
            UserError: no step has been recorded.
        """
        if self._recorder.steps == 0:
            raise UserError("the optimiser has not made a step: put the training loop into the block of 'with record'")
        recorded, importances = self._recorder.recorded(), {}
        for name, estimator in self._estimators.items():
            records = recorded | self._kept(estimator)
            stack = {record: {key: value[None] for key, value in each.items()} for record, each in records.items()}
            importances[name] = {key: value[0] for key, value in importance(estimator, stack).items()}
        return importances

    def _kept(self, estimator: PathEstimator) -> dict[str, dict[str, Tensor]]:
        """Return the records held in the optimiser's state: moving averages with Adam's bias correction."""
        if not _is_adaptive(self._optimizer):
            return {}
        decays = {each: group["betas"][1] for group in self._optimizer.param_groups for each in group["params"]}

        def corrected(parameter: Tensor, key: str) -> Tensor:
            state = self._optimizer.state.get(parameter)
            if not state:
                return torch.zeros_like(parameter)
            return _whole(state[key]) / (1 - decays[parameter] ** float(state["step"]))

        return {
            record: {name: corrected(parameter, key) for name, parameter in self._parameters.items()}
            for record, key in estimator.kept.items()
        }


@contextmanager
def record(
    optimizer: Optimizer,
    network: nn.Module,
    names: Sequence[str],
    *,
    penalty: Callable[[nn.Module], Tensor] | None = None,
    independent: Callable[[], Tensor] | None = None,
) -> Iterator[Recording]:
    """Record the steps of an optimiser while a block of code runs, for path estimators in any training loop.

    ``with record(optimizer, network, ["si"]) as recorded: ...`` and then ``recorded.result()["si"]``.

    Args:
        optimizer: the optimiser whose ``step()`` the block calls.
        network: the network whose parameters it updates.
        names: path estimators, keys of :data:`weight_importance.ESTIMATORS`.
        penalty: ``network -> scalar``, the penalty in the loss; estimators use the gradient of the unpenalised loss.
        independent: ``() -> loss of another batch``, differentiated before every step; for ``si_unbiased``.

    Yields:
        the recording; its ``result()`` gives the importances from all steps so far.

    Raises:
        UserError: unknown name, not a path estimator, or ``independent`` required but missing.
    """
    recording = Recording(optimizer, network, load_path(names), penalty, independent)
    handles = [
        optimizer.register_step_pre_hook(recording.before), optimizer.register_step_post_hook(recording.after)
    ]  # fmt: skip
    try:
        yield recording
    finally:
        for handle in handles:
            handle.remove()


def _is_adaptive(optimizer: Optimizer) -> bool:
    """Whether the optimiser keeps the moving averages of Adam."""
    return any(kind.__name__ in ("Adam", "AdamW", "NAdam", "RAdam") for kind in type(optimizer).__mro__)


def _gradient(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros_like(_whole(parameter))
    return _whole(gradient.to_dense() if gradient.is_sparse else gradient)


def _whole(tensor: Any) -> Tensor:
    tensor = tensor.detach()
    return tensor.float() if tensor.dtype in HALVES else tensor
