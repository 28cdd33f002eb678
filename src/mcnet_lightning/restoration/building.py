"""From the configuration of `restore` to what restores, and to what a certificate says of it."""

from typing import Any

from omegaconf import DictConfig

from mcnet_lightning.backbones.tiling import Tiling
from mcnet_lightning.build import (
    allowed_classes,
    build_backbone,
    build_epsilon,
    build_operator,
    build_solver,
    choose_device,
)
from mcnet_lightning.config.commands import EPSILON
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.equilibrium.epsilon import LEVELS, Epsilon
from mcnet_lightning.files import file_digest
from mcnet_lightning.model.layer_files import layer_path
from mcnet_lightning.restoration.api import load_restoration_layer
from mcnet_lightning.restoration.restorer import Restorer


def build_restorer(config: DictConfig) -> Restorer:
    """Backbone, layer and operator for the pictures of `restore`."""
    layer = build_restoration_layer(config)
    operator = build_operator(config.operator, config.scale)
    tiling = Tiling(config.tile, config.overlap)
    device = choose_device(config.device)
    epsilon = asked_epsilon(config)
    always = config.layer.weights != "auto"
    return Restorer(build_backbone(config), layer, operator, epsilon, tiling, device, config.dequantise, always)


def asked_epsilon(config: DictConfig) -> Epsilon | None:
    """Of the keys of epsilon and `noise`; None where nothing is said, which leaves it to each file."""
    if all(config[name] is None for name in (*EPSILON, "noise")):
        return None
    return build_epsilon(config) if config.noise is None else Epsilon(config.noise / LEVELS, "noise")


def build_restoration_layer(config: DictConfig) -> EquilibriumLayer | None:
    """The layer of `config.layer.weights` for inference, with the config's solver and beta."""
    name, classes = config.backbone.name, allowed_classes(config)
    layer = load_restoration_layer(config.layer.weights, name, config.scale, classes)
    if layer is not None:
        layer.solver = build_solver(config)
        if config.beta is not None:
            layer.set_prior_weight(config.beta)
    return layer


def describe_restorer(config: DictConfig, restorer: Restorer) -> dict[str, Any]:
    """Which backbone, layer and tiling: part of every certificate, and of what makes two runs the same."""
    spec, layer = restorer.backbone.spec, restorer.layer
    backbone = {"name": spec.name, "weights": str(spec.weights), "sha256": spec.sha256, "precision": spec.precision}
    if spec.source:
        backbone["source"] = spec.source
    record: dict[str, Any] = {"method": "backbone+projection" if layer is None else "mcnet", "backbone": backbone}
    if layer is None:
        record["layer"] = None
    else:
        weights = "bundled" if config.layer.weights == "auto" else config.layer.weights
        digest = file_digest(layer_path(weights, config.backbone.name, config.scale))
        beta = round(float(layer.prior_weight.detach()), 9)
        record["layer"] = {
            "weights": weights,
            "sha256": digest,
            "beta": beta,
            "tolerance": getattr(layer.solver, "tolerance", None),
        }
    return {**record, "tile": [restorer.tiling.size, restorer.tiling.overlap]}
