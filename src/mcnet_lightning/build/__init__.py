"""From a composed configuration to objects: the only room that knows both."""

from mcnet_lightning.build.objects import (
    backbone_hyperparameters,
    build_backbone,
    build_data,
    build_denoiser,
    build_layer,
    build_operator,
    choose_device,
)
from mcnet_lightning.build.problem import build_epsilon, build_methods, build_problem

__all__ = [
    "backbone_hyperparameters",
    "build_backbone",
    "build_data",
    "build_denoiser",
    "build_epsilon",
    "build_layer",
    "build_methods",
    "build_operator",
    "build_problem",
    "choose_device",
]
