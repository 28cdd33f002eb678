"""Frozen networks that make the prior image w."""

from mcnet_lightning.backbones.frozen import BackboneSpec, FrozenBackbone, InputKind, as_luma
from mcnet_lightning.backbones.loading import NETWORKS, load_backbone, load_trunk, untrained_backbone

__all__ = [
    "NETWORKS",
    "BackboneSpec",
    "FrozenBackbone",
    "InputKind",
    "as_luma",
    "load_backbone",
    "load_trunk",
    "untrained_backbone",
]
