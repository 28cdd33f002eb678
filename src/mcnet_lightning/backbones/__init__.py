"""Frozen networks that make the prior image w."""

from mcnet_lightning.backbones.facts import Facts, facts_of, networks
from mcnet_lightning.backbones.frozen import BackboneSpec, FrozenBackbone, InputKind, as_luma
from mcnet_lightning.backbones.loading import load_backbone, load_trunk, untrained_backbone

__all__ = [
    "BackboneSpec",
    "Facts",
    "FrozenBackbone",
    "InputKind",
    "as_luma",
    "facts_of",
    "load_backbone",
    "load_trunk",
    "networks",
    "untrained_backbone",
]
