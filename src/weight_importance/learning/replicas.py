"""Networks of one architecture as a stack: parameters along a leading replica axis ``R``.

Works for any ``nn.Module`` through ``torch.func``. Knows nothing of data, training or importances.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import stack_module_state

from weight_importance.files.trained import AdamState, Trained
from weight_importance.runtime.errors import UserError
from weight_importance.runtime.seeding import derive

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass
class Replicas:
    """A stack of networks.

    Attributes:
        template: the architecture and its mode (training or evaluation); its weights are never read.
        parameters: parameter name → tensor ``(R, *shape)``.
        buffers: buffer name → tensor ``(R, *shape)``, such as the running statistics of batch normalisation.
        seeds: seed of each replica ``(R)``; copies of a replica share a seed.
        adam: Adam's state after the latest training, if any.
    """

    template: nn.Module
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    seeds: list[int]
    adam: AdamState | None = None

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(iter(self.parameters.values())).device

    def state(self, replica: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return parameters and buffers of one replica, as views of the stack."""
        parameters, buffers = (
            {name: tensor[replica] for name, tensor in stacked.items()} for stacked in (self.parameters, self.buffers)
        )
        return parameters, buffers

    def network(self, replica: int) -> nn.Module:
        """Load one replica's weights into the template: valid until the next call."""
        state = {name: tensor[replica] for name, tensor in (self.parameters | self.buffers).items()}
        self.template.load_state_dict(state)
        return self.template

    def take(self, indices: Sequence[int]) -> "Replicas":
        """Return a new stack of the replicas at ``indices``, in order; repeated indices copy a replica."""
        return Replicas(
            self.template,
            {name: tensor.detach()[list(indices)].clone() for name, tensor in self.parameters.items()},
            {name: tensor[list(indices)].clone() for name, tensor in self.buffers.items()},
            [self.seeds[index] for index in indices],
            self.adam and self.adam.take(indices),
        )

    def finite(self) -> Tensor:
        """Mark the replicas with finite weights only: booleans ``(R,)``."""
        flags = [tensor.detach().isfinite().flatten(1).all(1) for tensor in self.parameters.values()]
        return torch.stack(flags).all(0)

    def require_finite(self) -> None:
        """Raise UserError with the seed of a diverged replica."""
        for seed, finite in zip(self.seeds, self.finite().tolist(), strict=True):
            if not finite:
                raise UserError(
                    f"the training of seed {seed} diverged, so that its importances are not defined; a smaller "
                    "training.learning_rate in the config may prevent it"
                )


def initialise(build: Callable[[], nn.Module], seeds: Sequence[int], device: torch.device | str = "cpu") -> Replicas:
    """Initialise replicas, one per seed; each depends on its own seed only."""
    networks = []
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            torch.manual_seed(derive("initialisation", seed))
            networks.append(build())
    return stack(networks, seeds, device)


def restore(build: Callable[[], nn.Module], trained: Trained, device: torch.device | str) -> Replicas:
    """Restore replicas of an architecture from a trained stack.

    Raises:
        UserError: the stack has another architecture.
    """
    template = build().to(device)
    require_fit(template, trained.parameters, "the weights")
    require_fit(template, trained.buffers, "the buffers", template.named_buffers())
    return Replicas(
        template,
        {name: trained.parameters[name].to(device) for name, _ in template.named_parameters()},
        {name: trained.buffers[name].to(device) for name, _ in template.named_buffers()},
        list(trained.seeds),
        trained.adam,
    )


def require_fit(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    origin: str,
    wanted: Iterable[tuple[str, Tensor]] | None = None,
) -> None:
    """Raise UserError unless every parameter of a network has a tensor ``(R, *shape)``.

    Args:
        network: the architecture.
        tensors: tensors by name.
        origin: name or origin of the tensors, for the message.
        wanted: named tensors of the network to fit; by default its parameters.
    """
    for name, like in network.named_parameters() if wanted is None else wanted:
        shape = ", ".join(map(str, ["R", *like.shape]))
        tensor = tensors.get(name)
        if tensor is None or tensor.shape[1:] != like.shape:
            raise UserError(
                f"{origin} do not fit the network {type(network).__name__}: '{name}' is "
                f"{'missing' if tensor is None else tuple(tensor.shape)}, expected ({shape}). They belong to another "
                "network: give those of this one, or set the study's network to the other one."
            )


def stack(networks: Sequence[nn.Module], seeds: Sequence[int], device: torch.device | str = "cpu") -> Replicas:
    """Stack the weights of networks of one architecture, one network per seed."""
    refuse_dropout(networks[0])
    parameters, buffers = stack_module_state([network.to(device) for network in networks])
    weights = {name: tensor.detach() for name, tensor in parameters.items()}
    return Replicas(networks[0], weights, buffers, list(seeds))


def refuse_dropout(network: nn.Module) -> None:
    """Raise UserError for a layer that draws random numbers in training.

    All replicas would share one generator, so that a replica would depend on the rest of its shard.
    """
    for name, module in network.named_modules():
        if isinstance(module, DROPOUTS) and module.p > 0:
            raise UserError(
                f"the network's layer '{name}' is a {type(module).__name__}: replicas that train together would "
                "share its random numbers. Leave it out of the network, or set its p to 0."
            )


def convolutional(network: nn.Module) -> bool:
    """Whether the network contains a convolution."""
    return any(isinstance(module, CONVOLUTIONS) for module in network.modules())


def channels_last(inputs: Tensor) -> Tensor:
    """Convert images ``(N, C, H, W)`` on a CPU to channels-last memory, faster for convolutions there."""
    if inputs.ndim != 4 or inputs.device.type != "cpu":
        return inputs
    return inputs.contiguous(memory_format=torch.channels_last)
