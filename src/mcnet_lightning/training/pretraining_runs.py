"""The two pretrainings from config to artefact: weights.safetensors and MODEL_CARD.md in the run's folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import Tensor

from mcnet_lightning.backbones import load_trunk, untrained_backbone
from mcnet_lightning.backbones.loading import DAMAGE
from mcnet_lightning.build import backbone_arguments, build_data, build_problem, scale_or_problem
from mcnet_lightning.build.components import make
from mcnet_lightning.config.components import find
from mcnet_lightning.data import MeasurementDataModule, WholeImages
from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.evaluation.metrics import ImageMeans
from mcnet_lightning.files.weights import read_weights, write_weights
from mcnet_lightning.model.layer_files import load_denoiser, save_denoiser
from mcnet_lightning.problems import described_problem, figure
from mcnet_lightning.training.backbone_pretraining import BackbonePretraining, restored
from mcnet_lightning.training.denoiser_pretraining import DenoiserPretraining, denoising_psnr
from mcnet_lightning.training.fit import fit
from mcnet_lightning.training.loggers import one_wandb_run
from mcnet_lightning.training.model_card import UNMEASURED, write_model_card
from mcnet_lightning.training.resuming import described, take_up

Measure = Callable[[dict[str, Any], int], dict[str, Tensor]]


@one_wandb_run()
def pretrain_backbone(config: DictConfig) -> None:
    """Trains `config.backbone` for one scale and protocol."""
    pl.seed_everything(config.seed, workers=True, verbose=False)
    folder = Path(HydraConfig.get().runtime.output_dir)
    problem = build_problem(config)
    kind, arguments = find(config.backbone._target_), backbone_arguments(config)
    network, input_kind = untrained_backbone(kind, scale_or_problem(config, problem), arguments)
    start: Any = getattr(network, "start_from_interpolation", None)
    if start is not None:
        start()
    if config.initial_weights is not None:
        load_trunk(network, read_weights(config.initial_weights))
    data = build_data(config, problem)
    test_images = data.test_images()  # read first: what cannot be measured must not cost a training
    identity = described(
        kind="backbone",
        scale=problem.scale,
        protocol=problem.label,
        operator=problem.operator_name,
        backbone=config.backbone.name,
        network=arguments,
    )
    take_up(config, folder, identity, data)
    module = BackbonePretraining(network, input_kind, problem, config.optimiser, config.seed, config.damage)
    name = f"{config.backbone.name}_{problem.short}"
    seconds = fit(config, module, data, folder, f"pretrain_{name}", [config.backbone.name, problem.short], identity)
    if not module.trainer.is_global_zero:
        return
    network.eval()
    means = _means_by_dataset(
        test_images,
        lambda image, _: {
            "before": problem.headline(image["observation"].start, image["observation"].truth),
            "after": problem.headline(restored(network, image["observation"], input_kind), image["observation"].truth),
        },
    )
    header = {"kind": "backbone", "name": config.backbone.name} | described_problem(problem) | _damage(config)
    write_weights(folder / "weights.safetensors", network.state_dict(), header)
    unit = ", dB" if figure(problem.figures[0]).decibel else f", {figure(problem.figures[0]).heading}"
    table = _table(f"| test set | {problem.start_name}{unit} | this network{unit} |", means)
    title, steps = f"{config.backbone.name} {problem.short}", module.trainer.global_step
    write_model_card(folder, title, config, data, _start(config), steps, seconds, table)
    _report(folder, table)


@one_wandb_run()
def pretrain_denoiser(config: DictConfig) -> None:
    """Trains a Gaussian denoiser for the noise levels of `config.noise_level`."""
    pl.seed_everything(config.seed, workers=True, verbose=False)
    folder = Path(HydraConfig.get().runtime.output_dir)
    if config.initial_weights is not None:
        denoiser = load_denoiser(config.initial_weights)
        if config.denoiser.spectral_norm:
            denoiser.normalise()
    else:
        denoiser = make("denoiser", config.denoiser)
        if not isinstance(denoiser, DnCNN):
            raise ConfigError(f"denoiser={config.denoiser._target_} is trained in a way of its own, not by pretrain")
    problem = build_problem(config)
    data: MeasurementDataModule = build_data(config, problem)
    test_images = data.test_images()
    low, high = config.noise_level
    identity = described(kind="denoiser", denoiser=denoiser.hyperparameters)
    take_up(config, folder, identity, data)
    module = DenoiserPretraining(denoiser, (low, high), config.optimiser, config.seed)
    seconds = fit(config, module, data, folder, f"pretrain_denoiser_{low:g}_{high:g}", ["denoiser"], identity)
    if not module.trainer.is_global_zero:
        return
    denoiser.eval()
    level = (low + high) / 2
    means = _means_by_dataset(
        test_images,
        lambda image, index: {
            {"psnr": "after", "noisy_psnr": "before"}[name]: value
            for name, value in denoising_psnr(denoiser, image["observation"].truth, level, index).items()
        },
    )
    bounds = denoiser.certificate()["layer_norm_bounds"]
    save_denoiser(folder / "weights.safetensors", denoiser, {"noise_level": f"{low:g}..{high:g}"})
    table = [
        *_table(f"| test set, noise level {level:g} | noisy, dB | denoised, dB |", means),
        "",
        "Upper bounds of the layers' norms: " + ", ".join(f"{bound:.3f}" for bound in bounds) + ".",
    ]
    title = f"{config.denoiser.depth}-layer denoiser, noise {low:g} to {high:g}"
    write_model_card(folder, title, config, data, _start(config), module.trainer.global_step, seconds, table)
    _report(folder, table)


def _damage(config: DictConfig) -> dict[str, str]:
    """What the network's file says of the LR that it was trained on, if that was damaged."""
    given = {name: list(ends) for name in ("jpeg", "noise") if (ends := config.damage[name])}
    return {DAMAGE: json.dumps({**given, "share": config.damage.share})} if given else {}


def _start(config: DictConfig) -> str:
    return "random weights" if config.initial_weights is None else Path(config.initial_weights).name


def _report(folder: Path, table: list[str]) -> None:
    print("\n".join([*table, f"wrote {folder}"]))


@torch.no_grad()
def _means_by_dataset(images: WholeImages, measure: Measure) -> dict[str, dict[str, float]]:
    """Means of measure(image, index) -> {"before", "after"} over each test set."""
    means: dict[str, ImageMeans] = {}
    for index in range(len(images)):
        image = images[index]
        means.setdefault(image["dataset"], ImageMeans(("before", "after"))).update(True, **measure(image, index))
    return {name: {key: float(value) for key, value in mean.compute().items()} for name, mean in means.items()}


def _table(head: str, means: dict[str, dict[str, float]]) -> list[str]:
    if not means:
        return [f"{UNMEASURED[0].upper()}{UNMEASURED[1:]}."]
    rows = [f"| {dataset} | {mean['before']:.3f} | {mean['after']:.3f} |" for dataset, mean in means.items()]
    return [head, "|---|---|---|", *rows]
