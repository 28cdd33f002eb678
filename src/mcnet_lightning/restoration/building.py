"""From the configuration of `restore` to what restores, and to what a certificate says of it."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mcnet_lightning.backbones import FrozenBackbone
from mcnet_lightning.backbones.loading import NONE
from mcnet_lightning.backbones.several import SeveralBackbones
from mcnet_lightning.backbones.tiling import Tiling
from mcnet_lightning.build import (
    allowed_classes,
    build_backbone,
    build_epsilon,
    build_operator,
    build_solver,
    choose_device,
    make,
)
from mcnet_lightning.build.components import require
from mcnet_lightning.config.commands import EPSILON
from mcnet_lightning.config.components import find
from mcnet_lightning.config.outline import is_own
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.equilibrium.epsilon import LEVELS, Epsilon
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files import file_digest
from mcnet_lightning.model.layer_paths import layer_path
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.problems import Problem
from mcnet_lightning.problems.deblurring import Deblurring
from mcnet_lightning.problems.mri import MASKS
from mcnet_lightning.problems.super_resolution import SuperResolution
from mcnet_lightning.restoration.api import load_restoration_layer
from mcnet_lightning.restoration.kspace_files import Reading
from mcnet_lightning.restoration.restorer import Restorer
from mcnet_lightning.restoration.scans import ScanRestorer


def build_restorer(config: DictConfig) -> Restorer:
    """Backbone, layer and operator for the pictures of `restore`."""
    problem = None if isinstance(variant_of(config), int) else build_measured(config)
    layer = build_restoration_layer(config)
    operator = build_file_operator(config)
    tiling = Tiling(config.tile, config.overlap)
    device = choose_device(config.device)
    epsilon = asked_epsilon(config)
    if epsilon is None and isinstance(problem, Deblurring):
        raise ConfigError(
            "deblurring multiplies whatever noise there is: say how much, noise=LEVELS of 255 such as noise=2.55, or "
            "give epsilon=..."
        )
    always = config.layer.weights != "auto"
    start = getattr(problem, "from_measurement", None)
    backbone = build_trained(config, problem)
    return Restorer(backbone, layer, operator, epsilon, tiling, device, config.dequantise, always, start)


def build_trained(config: DictConfig, problem: Problem | None) -> FrozenBackbone:
    """The backbone. Raises ConfigError for one of ours that nobody has trained: people's images are no place for it."""
    backbone, name = build_backbone(config, problem), config.backbone.name
    if isinstance(backbone, SeveralBackbones) and backbone.automatic:
        raise ConfigError(
            "backbone.shares=auto needs training images; give the numbers that `evaluate` found with them"
        )
    learnt = any(True for _ in backbone.network.parameters())
    if learnt and backbone.spec.weights == NONE and is_own(config.backbone._target_):
        raise ConfigError(f"backbone={name} is not trained: give backbone.weights=PATH, or take another backbone")
    return backbone


def build_file_operator(config: DictConfig, scale: int | None = None) -> MeasurementOperator:
    """A of the pictures of `restore` and `certify`: of the group `operator`, or what a problem's file of them says."""
    if isinstance(variant_of(config), int | None):
        return build_operator(config.operator, scale or config.scale)
    problem = require("problem", config.problem, build_measured(config), None, "operator")
    operator: MeasurementOperator = problem.operator
    return operator


def asked_epsilon(config: DictConfig, levels: float = LEVELS) -> Epsilon | None:
    """Of the keys of epsilon and `noise`, which is in units of which `levels` are 1; None where nothing is said, which
    leaves it to each file.
    """
    if all(config[name] is None for name in (*EPSILON, "noise")):
        return None
    return build_epsilon(config) if config.noise is None else Epsilon(config.noise / levels, "noise")


def build_scan_restorer(config: DictConfig) -> ScanRestorer:
    """Backbone and layer for k-space; masks and coil maps are those of its files."""
    problem = build_measured(config)
    device = choose_device(config.device)
    layer, epsilon = build_restoration_layer(config), asked_epsilon(config, 1.0)
    return ScanRestorer(build_trained(config, problem), layer, epsilon, device)


def build_reading(config: DictConfig) -> Reading:
    """What the keys say of files of k-space; what they do not, null, is left to the files."""
    mask = None if config.problem.mask in MASKS else config.problem.mask
    return Reading(
        None if mask is None else str(Path(mask).expanduser()),
        None if config.problem.maps is None else str(Path(config.problem.maps).expanduser()),
        config.zero_frequency or "auto",
        config.image_origin or "auto",
        config.max_megapixels,
    )


def build_measured(config: DictConfig) -> Problem:
    """The problem of a measurement in a file, as far as keys can say it."""
    if config.get("noise") is not None and "noise" in config.problem:
        config.problem.noise = config.noise
    problem: Problem = make("problem", config.problem)
    if "backbone" in config and "channels" in config.backbone and config.backbone.channels is None:
        config.backbone.channels = problem.channels
    return problem


def is_kspace(config: DictConfig) -> bool:
    """Whether what was measured is k-space, and not a picture."""
    return getattr(find(config.problem._target_), "images", "picture") == "complex"


def variant_of(config: DictConfig) -> Any:
    """What files of weights are for: the scale, or a problem that has none."""
    kind = find(config.problem._target_)
    return config.scale if kind is SuperResolution else kind.name


def build_restoration_layer(config: DictConfig) -> EquilibriumLayer | None:
    """The layer of `config.layer.weights` for inference, with the config's solver and beta."""
    name, classes = config.backbone.name, allowed_classes(config)
    layer = load_restoration_layer(config.layer.weights, name, variant_of(config), classes)
    if layer is not None:
        layer.solver = build_solver(config)
        if config.beta is not None:
            layer.set_prior_weight(config.beta)
    return layer


def describe_restorer(config: DictConfig, restorer: Restorer | ScanRestorer) -> dict[str, Any]:
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
        digest = file_digest(layer_path(weights, config.backbone.name, variant_of(config)))
        beta = round(float(layer.prior_weight.detach()), 9)
        record["layer"] = {
            "weights": weights,
            "sha256": digest,
            "beta": beta,
            "tolerance": getattr(layer.solver, "tolerance", None),
        }
    return (
        record
        if isinstance(restorer, ScanRestorer)
        else record | {"tile": [restorer.tiling.size, restorer.tiling.overlap]}
    )
