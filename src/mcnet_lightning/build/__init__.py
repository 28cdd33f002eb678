"""From a composed configuration to objects: the only room that knows both."""

from mcnet_lightning.build.components import make, takes
from mcnet_lightning.build.objects import (
    allowed_classes,
    backbone_arguments,
    build_backbone,
    build_data,
    build_denoiser,
    build_layer,
    build_operator,
    build_solver,
    choose_device,
    scale_or_problem,
)
from mcnet_lightning.build.problem import build_epsilon, build_methods, build_problem

__all__ = [
    "allowed_classes",
    "backbone_arguments",
    "build_backbone",
    "build_data",
    "build_denoiser",
    "build_epsilon",
    "build_layer",
    "build_methods",
    "build_operator",
    "build_problem",
    "build_solver",
    "choose_device",
    "make",
    "scale_or_problem",
    "takes",
]
