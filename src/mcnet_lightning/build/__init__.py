"""From a composed configuration to objects: the only room that knows both."""

from mcnet_lightning.build.objects import (
    backbone_hyperparameters,
    build_backbone,
    build_data,
    build_degradation,
    build_denoiser,
    build_epsilon,
    build_layer,
    build_operator,
    build_pnp,
    choose_device,
)

__all__ = [
    "backbone_hyperparameters",
    "build_backbone",
    "build_data",
    "build_degradation",
    "build_denoiser",
    "build_epsilon",
    "build_layer",
    "build_operator",
    "build_pnp",
    "choose_device",
]
