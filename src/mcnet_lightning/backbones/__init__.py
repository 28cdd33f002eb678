"""Frozen networks that make the prior image w."""

from collections.abc import Callable

from torch import nn

from mcnet_lightning.backbones.bicubic import BicubicIdentity
from mcnet_lightning.backbones.frozen import BackboneSpec, FrozenBackbone, InputKind
from mcnet_lightning.backbones.srcnn import SRCNN
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.weights import BUNDLED, bundled_path, read_weights

__all__ = ["BackboneSpec", "FrozenBackbone", "load_backbone", "untrained_backbone"]

NETWORKS: dict[str, tuple[Callable[[], nn.Module], InputKind]] = {
    "srcnn": (SRCNN, "upsampled"),
    "bicubic": (BicubicIdentity, "upsampled"),
}


def load_backbone(name: str, scale: int, weights: str = BUNDLED) -> FrozenBackbone:
    """A frozen backbone by name; `weights` is "bundled" (ours) or the path of a file for exactly this scale.

    Raises ConfigError for an unknown name and WeightsError for a file that is missing, damaged, or made for another
    network or scale.
    """
    network, input_kind = untrained_backbone(name)
    if not network.state_dict():
        return FrozenBackbone(network, BackboneSpec(name, scale, input_kind))
    file = read_weights(bundled_path("backbone", f"{name}_x{scale}") if weights == BUNDLED else weights)
    file.require_kind("backbone")
    file.require_scale(scale)
    file.load_into(network)
    return FrozenBackbone(network, BackboneSpec(name, scale, input_kind, weights, file.sha256))


def untrained_backbone(name: str) -> tuple[nn.Module, InputKind]:
    """The bare network and what it eats, for pretraining."""
    if name not in NETWORKS:
        raise ConfigError(f"backbone {name!r} is unknown; use one of {', '.join(NETWORKS)}")
    build, input_kind = NETWORKS[name]
    return build(), input_kind
