"""From a composed config to objects: the only place that knows both."""

from typing import TYPE_CHECKING

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from mcnet_lightning.backbones import FrozenBackbone, load_backbone
from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files.downloads import cache_folder
from mcnet_lightning.imaging import read_picture
from mcnet_lightning.model.layer_files import load_denoiser, load_layer
from mcnet_lightning.operators import (
    BicubicDownsample,
    BlurDownsample,
    Kernel,
    KernelDownsample,
    Mask,
    MeasurementOperator,
)
from mcnet_lightning.operators.blur import gaussian_kernel
from mcnet_lightning.problems import Problem

if TYPE_CHECKING:
    from mcnet_lightning.data import MeasurementDataModule

START_OF_BETA = {"srcnn": 0.05, "bicubic": 0.05}
START_ON_STRONG_BACKBONES = 0.3  # RDN x3, one epoch on the photographs: -0.006 dB against -0.124 dB with 0.05


def build_backbone(config: DictConfig) -> FrozenBackbone:
    backbone = config.backbone
    source = backbone.root if backbone.name == "precomputed" else backbone.get("weights", "none")
    precision = backbone.get("precision", "float32")
    return load_backbone(backbone.name, config.scale, source, backbone_hyperparameters(config), precision)


def backbone_hyperparameters(config: DictConfig) -> dict[str, int]:
    """What the config says of the network's size; the rest is null there."""
    return {str(key): value for key, value in config.backbone.items() if isinstance(value, int)}


def build_layer(config: DictConfig) -> EquilibriumLayer:
    """The layer of `config.layer.weights`, or a fresh one on the denoiser of `config.denoiser`."""
    if config.layer.weights == "none":
        start = START_OF_BETA.get(config.backbone.name, START_ON_STRONG_BACKBONES)
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
        layer = load_layer(config.layer.weights, config.backbone.name, config.scale)
    if config.get("beta") is not None:
        layer.set_prior_weight(config.beta, config.layer.prior_weight_floor)
    layer.solver = instantiate(config.solver)
    if config.get("backward") is not None:  # of commands that train
        layer.backward_solver = instantiate(config.backward)
    return layer


def build_denoiser(settings: DictConfig) -> DnCNN:
    """A denoiser of the given shape, with the weights named in it if any; shapes must agree."""
    fresh = DnCNN(**{str(name): value for name, value in settings.items() if name != "weights"})
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


def build_data(config: DictConfig, problem: Problem, backbone: FrozenBackbone | None = None) -> "MeasurementDataModule":
    from mcnet_lightning.data import MeasurementDataModule  # with Lightning, which restoring does without

    data = config.data
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


def build_operator(settings: DictConfig, scale: int) -> MeasurementOperator:
    """The operator of the group `operator`, outside any protocol."""
    if settings.name == "mask":
        picture = read_picture(settings.mask)
        return Mask((picture.colour.mean(dim=0) > 0.5).double())
    if settings.name == "blur":
        return BlurDownsample(gaussian_kernel(settings.width), scale)
    if settings.name == "bicubic":
        return BicubicDownsample(scale, settings.boundary or "truncated")
    kind = settings.kernel.removesuffix("-aliased")
    kernel = Kernel(kind, settings.width if kind == "gaussian" else 0.0, antialiased=kind == settings.kernel)
    return KernelDownsample(scale, kernel, settings.boundary)
