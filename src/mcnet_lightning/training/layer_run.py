"""One training of the equilibrium layer, from config to artefacts and the ladder."""

import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mcnet_lightning.build import (
    allowed_classes,
    build_backbone,
    build_data,
    build_epsilon,
    build_layer,
    build_methods,
    build_problem,
    scale_or_problem,
)
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.evaluation.command import build_ladder
from mcnet_lightning.evaluation.failures import Failures
from mcnet_lightning.evaluation.records import MEAN, Record
from mcnet_lightning.evaluation.runs import evaluate_ladder
from mcnet_lightning.evaluation.settling import settle
from mcnet_lightning.evaluation.tables import markdown_ladder, write_metrics
from mcnet_lightning.files.weights import bundled_name, is_bundled
from mcnet_lightning.files.writer import is_first_process
from mcnet_lightning.model.layer_files import describe_layer, load_layer, save_layer
from mcnet_lightning.model.mcnet import MCNet
from mcnet_lightning.problems import Problem, described_problem
from mcnet_lightning.training.callbacks import ComparisonPictures
from mcnet_lightning.training.fit import fit, plain
from mcnet_lightning.training.layer_training import LayerTraining
from mcnet_lightning.training.loggers import one_wandb_run
from mcnet_lightning.training.model_card import UNMEASURED, write_model_card
from mcnet_lightning.training.recording import record_results
from mcnet_lightning.training.resuming import Identity, described, take_up


def train_layer(config: DictConfig) -> None:
    """Trains, keeps the checkpoint that is best on held-out training images, and measures it on the test images, where
    there are any.

    Raises CertificateError, when everything is written, where epsilon was not met on a test image.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    measured = _train_and_measure(config, folder)
    if measured is not None:
        records, failures = measured
        if records:
            write_metrics(folder / "metrics.csv", records)
        print(f"wrote {folder}" if records else f"wrote {folder}; {UNMEASURED}")
        failures.raise_first()


@one_wandb_run()
def _train_and_measure(config: DictConfig, folder: Path) -> tuple[list[Record], Failures] | None:
    """The rows of metrics.csv and what failed; None in all but the first of several processes."""
    pl.seed_everything(config.seed, workers=True, verbose=False)
    problem = build_problem(config)
    backbone = build_backbone(config, problem)
    layer = build_layer(config, problem)
    if config.denoiser.get("spectral_norm", True):
        layer.denoiser.normalise()
    model = MCNet(backbone, layer, None)
    data = build_data(config, problem, backbone)
    test_images = data.test_images()  # first: what cannot be measured, or by which method, must not cost a training
    for method in build_methods(config, problem):
        method.check(problem)
    settle(config, problem, backbone, layer, data, folder)
    epsilon = build_epsilon(config)
    header = _header(model, problem, epsilon)
    identity = _identity(header, model)
    take_up(config, folder, identity, data)
    if is_first_process():  # of an earlier run in this folder: beside other settings it would say the wrong thing
        (folder / "metrics.csv").unlink(missing_ok=True)
    module = LayerTraining(
        model,
        problem,
        epsilon,
        config.optimiser,
        {**header, "layer": describe_layer(model.layer), "config": plain(config)},
    )
    name = f"{backbone.spec.name}_{problem.short}_{epsilon.short}"
    tags = [backbone.spec.name, problem.short, problem.label.split("-")[0]]
    pictures = ComparisonPictures(folder / "pictures")
    seconds = fit(config, module, data, folder, name, tags, identity, [pictures])
    if not module.trainer.is_global_zero:
        return None
    best = folder / "checkpoints" / "best.ckpt"
    if best.is_file():
        trained = load_layer(
            best, backbone.spec.name, scale_or_problem(config, problem), classes=allowed_classes(config)
        )
        model.layer.load_state_dict(trained.state_dict())
    model.eval()
    certificate = module.certificate()
    save_layer(folder / "layer.safetensors", model.layer, {**header, "certificate": json.dumps(certificate)})
    records, failures = list[Record](), Failures()
    if len(test_images):
        device = "cpu" if config.trainer.accelerator == "cpu" else "auto"
        ladder = build_ladder(config, backbone, model.layer, problem, device)
        shown = folder / "pictures" if config.pictures else None
        records, failures = evaluate_ladder(ladder, test_images, pictures=shown)
    means = [row for row in records if row.image == MEAN]
    title = f"equilibrium layer {name} on {backbone.spec.label}"
    write_model_card(
        folder, title, config, data, _start(config), module.trainer.global_step, seconds, _card(model, means)
    )
    record_results(module.trainer.loggers, records, certificate, folder, name)
    return records, failures


def _header(model: MCNet, problem: Problem, epsilon: Epsilon) -> dict[str, Any]:
    """What a file of the trained layer says of itself."""
    assert model.backbone is not None
    spec = model.backbone.spec
    return {
        "kind": "layer",
        **described_problem(problem),
        "epsilon": epsilon.stated,
        "backbone": spec.name,
        "backbone_sha256": spec.sha256,
        "backbone_hyperparameters": json.dumps(dict(spec.hyperparameters)),
    }


def _identity(header: dict[str, Any], model: MCNet) -> Identity:
    """What a run that goes on from a checkpoint of this one must agree in."""
    kept = ("scale", "protocol", "operator", "backbone", "backbone_sha256")
    shape = describe_layer(model.layer)["denoiser"]
    return described(kind="layer", **{name: header[name] for name in kept if name in header}, denoiser=shape)


def _start(config: DictConfig) -> str:
    """What the layer was before, in words."""
    layer, denoiser = config.layer.weights, config.denoiser.weights
    if layer != "none":
        return _named("layer", layer)
    return "random weights" if denoiser == "none" else _named("denoiser", denoiser)


def _named(what: str, weights: str) -> str:
    if is_bundled(weights):
        return f"the bundled {what} {bundled_name(weights, '')}".rstrip()
    return f"{what} {Path(weights).parent.name}/{Path(weights).name}"


def _card(model: MCNet, means: list[Record]) -> list[str]:
    certificate = model.layer.certificate()
    beta, relaxation = model.layer.prior_weight.item(), model.layer.relaxation
    return [
        *(markdown_ladder(means, beta) if means else [f"beta {beta:.4f}; {UNMEASURED}."]),
        "",
        *([f"R is relaxed by {relaxation:g}.", ""] if relaxation != 1 else []),
        "Upper bounds of the layers' norms: "
        + ", ".join(f"{bound:.3f}" for bound in certificate.get("layer_norm_bounds", []))
        + f"; of the denoiser's Lipschitz constant: {certificate.get('denoiser_lipschitz_bound', float('nan')):.3f}.",
    ]
