"""Settings of a network: one by name, or a fully connected network of given sizes."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from weight_importance.settings.base import Count, NetworkName, Settings


class FullyConnected(Settings):
    """A fully connected network."""

    kind: Literal["mlp"] = Field(description="A fully connected network.")
    hidden: Annotated[tuple[Count, ...], Field(strict=False, min_length=1)] = Field(
        description="Units of each hidden layer, such as [400, 400]."
    )
    activation: Literal["relu", "leaky_relu", "tanh"] = Field(
        "relu", description="Function applied after each hidden layer; the slope of leaky_relu is 0.01."
    )


def _alternative(value: Any) -> Any:
    """Choose how to read a value: as the settings of its kind, or as a name."""
    if isinstance(value, Mapping):
        return str(value["kind"]) if "kind" in value else None
    return getattr(value, "kind", "a name")


Network = Annotated[
    Annotated[NetworkName, Tag("a name")] | Annotated[FullyConnected, Tag("mlp")], Discriminator(_alternative)
]
"""A name in :mod:`weight_importance.learning.networks`, or the settings of a fully connected network."""


def described(network: Network) -> str:
    """Describe a network by its name, or as ``mlp 400-400 relu``."""
    if isinstance(network, str):
        return network
    return f"mlp {'-'.join(map(str, network.hidden))} {network.activation}"
