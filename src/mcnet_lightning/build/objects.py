"""From a composed config to objects: the only place that knows both."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig
from torch import nn

from mcnet_lightning.backbones import FrozenBackbone, facts_of, load_backbone
from mcnet_lightning.build.components import arguments_of, guarded, make, require
from mcnet_lightning.config.commands import AUTO
from mcnet_lightning.config.components import find
from mcnet_lightning.config.outline import is_own
from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files.downloads import cache_folder
from mcnet_lightning.files.weights import read_weights
from mcnet_lightning.model.layer_files import holds_denoiser, load_denoiser, load_layer
from mcnet_lightning.operators import MeasurementOperator, check_adjoint
from mcnet_lightning.problems import Problem

if TYPE_CHECKING:
    from mcnet_lightning.data import MeasurementDataModule

PROBE = 48  # side of the image on which a foreign operator is tried


def build_backbone(config: DictConfig, problem: Problem | None = None) -> FrozenBackbone:
    backbone = config.backbone
    said = {"name": backbone.name, "input_kind": backbone.get("input_kind"), "label": backbone.get("label")}
    weights, precision = backbone.get("weights"), backbone.get("precision", "float32")
    kind, arguments = find(backbone._target_), backbone_arguments(config)
    arguments.pop("precision", None)
    ensemble = backbone.get("ensemble", 1)
    if "weights" in arguments:  # its constructor reads the file
        weights = arguments.pop("weights") if is_own(backbone._target_) else None
    made: FrozenBackbone = guarded(
        "backbone",
        backbone,
        partial(load_backbone, kind, scale_or_problem(config, problem), weights, arguments, precision, said),
    )
    if ensemble > 1:
        if made.spec.input_kind in ("observation", "picture"):
            raise ConfigError(
                f"backbone.ensemble={ensemble} turns what a network sees, and {made.spec.label} sees the whole "
                "measurement; leave it out"
            )
        made.spec = replace(made.spec, ensemble=ensemble)
    return made


def backbone_arguments(config: DictConfig) -> dict[str, Any]:
    """What the config says of the network; the rest is null there."""
    said = arguments_of(config.backbone)
    return {name: value for name, value in said.items() if value is not None and name != "ensemble"}


def scale_or_problem(config: DictConfig, problem: Problem | None = None) -> int | str:
    """What files of weights are named by: the scale, or the name of a problem that has none."""
    return config.scale if problem is None or problem.scale is not None else problem.name


def build_layer(config: DictConfig, problem: Problem | None = None) -> EquilibriumLayer:
    """The layer of `config.layer.weights`, or a fresh one on the denoiser of `config.denoiser`."""
    if config.layer.weights == "none":
        start = facts_of(find(config.backbone._target_)).start_of_beta
        layer = EquilibriumLayer(
            build_denoiser(config.denoiser),
            prior_weight=start if config.layer.prior_weight is None else config.layer.prior_weight,
            prior_weight_floor=config.layer.prior_weight_floor,
        )
    else:
        if config.layer.prior_weight is not None:
            raise ConfigError(
                f"layer.prior_weight={config.layer.prior_weight:g} is where a fresh layer's beta starts, and "
                f"layer.weights={config.layer.weights} brings its own; give beta={config.layer.prior_weight:g} instead"
            )
        which = (config.layer.weights, config.backbone.name, scale_or_problem(config, problem))
        if "trainer" in config and holds_denoiser(*which):
            raise ConfigError(
                f"layer.weights={config.layer.weights} is a denoiser, and no layer to be trained further; start "
                "from one of ours with denoiser.weights=, and use those of others in evaluate"
            )
        layer = load_layer(*which, classes=allowed_classes(config), noise_level=config.layer.noise_level)
    if config.get("beta") not in (None, AUTO):
        layer.set_prior_weight(config.beta, config.layer.prior_weight_floor)
    if config.layer.relaxation is not None:
        layer.relaxation = config.layer.relaxation
    layer.solver = build_solver(config)
    if config.get("backward") is not None:  # of commands that train
        made = make("backward", config.backward)
        works = "unroll" if hasattr(made, "unroll") else "solve_adjoint"
        layer.backward_solver = require("backward", config.backward, made, None, works)
    return layer


def build_solver(config: DictConfig) -> Any:
    return require("solver", config.solver, make("solver", config.solver), None, "solve")


def allowed_classes(config: DictConfig) -> list[Any]:
    """Denoisers from outside the package that the command line allows a layer's file to name."""
    paths = list(config.layer.classes)
    if config.denoiser is not None and not is_own(config.denoiser._target_):
        paths.append(config.denoiser._target_)
    return [find(path) for path in paths]


def build_denoiser(settings: DictConfig) -> nn.Module:
    """A denoiser of the given shape, with the weights named in it if any; shapes must agree."""
    if not is_own(settings._target_):
        return _foreign_denoiser(settings)
    fresh: DnCNN = make("denoiser", settings)
    if settings.weights == "none":
        return fresh
    trained = load_denoiser(settings.weights)
    wanted, found = fresh.hyperparameters, trained.hyperparameters
    differing = [name for name in ("depth", "channels", "parameterisation", "averaging") if wanted[name] != found[name]]
    if differing:
        name = differing[0]
        raise ConfigError(
            f"denoiser.weights={settings.weights} has {name}={found[name]}, not denoiser.{name}={wanted[name]}; "
            "change one of them, or start from denoiser.weights=none"
        )
    return trained


def _foreign_denoiser(settings: DictConfig) -> nn.Module:
    """Any image-to-image network; it remembers its arguments, so that its files can say them."""
    made: Any = require("denoiser", settings, make("denoiser", settings), nn.Module)
    if type(made).forward is nn.Module.forward:
        raise ConfigError(f"denoiser={settings._target_} has no `forward`, and a denoiser makes an image of an image")
    if not hasattr(made, "hyperparameters"):
        made.hyperparameters = arguments_of(settings)
    if settings.weights not in ("none", None):
        file = read_weights(settings.weights)
        file.below(next(iter(made.state_dict()))).load_into(made)
    return made


def build_data(config: DictConfig, problem: Problem, backbone: FrozenBackbone | None = None) -> "MeasurementDataModule":
    from mcnet_lightning.data import MeasurementDataModule  # with Lightning, which restoring does without

    data = config.data
    if data.lr is not None and problem.scale is None:
        raise ConfigError(f"data.lr={data.lr} holds low-resolution pictures, and problem={problem.name} takes none")
    if backbone is not None and backbone.spec.input_kind == "picture":
        raise ConfigError(
            f"backbone={backbone.spec.name} has pictures of whole test images only; train on the network that made them"
        )
    return MeasurementDataModule(
        problem,
        train=data.train,
        test=data.test,
        root=data.root,
        backbone=backbone,
        cache=cache_folder(data.cache_dir),
        patch_size=data.patch_size,
        patch_stride=data.patch_stride,
        patch_margin=data.patch_margin,
        max_patches=data.max_patches,
        batch_size=data.batch_size,
        validation_size=data.validation_size,
        validation_images=data.validation_images,
        num_workers=data.num_workers,
        seed=config.seed,
        hr_folder=data.hr,
        lr_folder=data.lr,
    )


def choose_device(device: str) -> torch.device:
    """The device of `device=auto|cpu|cuda`. Raises ConfigError for a GPU that is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda, but this machine has no usable GPU; use device=cpu")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def build_operator(settings: DictConfig, scale: int, boundary: str | None = None) -> MeasurementOperator:
    """The operator of the group `operator`; `boundary` is the protocol's, where there is one.

    One from outside the package is tried once. Raises ConfigError where its adjoint is no transpose.
    """
    made = make("operator", settings, scale=scale, boundary=boundary)
    operator: MeasurementOperator = require("operator", settings, made, MeasurementOperator)
    if not is_own(settings._target_):
        shape = operator.image_shape or (1, PROBE, PROBE)
        guarded("operator", settings, partial(check_adjoint, operator, shape))
    return operator
