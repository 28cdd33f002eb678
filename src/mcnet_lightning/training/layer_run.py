"""One training of the equilibrium layer, from config to artefacts and the ladder."""

import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning.loggers import WandbLogger

from mcnet_lightning.build import build_backbone, build_data, build_degradation, build_ladder, build_layer
from mcnet_lightning.evaluation.records import MEAN, Record
from mcnet_lightning.evaluation.runs import evaluate_ladder
from mcnet_lightning.evaluation.tables import COLUMNS, write_metrics
from mcnet_lightning.layer_weights import describe_layer, load_layer, save_layer
from mcnet_lightning.mcnet import MCNet
from mcnet_lightning.training.callbacks import ComparisonPictures
from mcnet_lightning.training.fit import fit, plain
from mcnet_lightning.training.layer_training import LayerTraining
from mcnet_lightning.training.model_card import write_model_card
from mcnet_lightning.weights import BUNDLED


def train_layer(config: DictConfig) -> None:
    """Trains, keeps the checkpoint that is best on held-out training images, and measures it on the test images."""
    pl.seed_everything(config.seed, workers=True, verbose=False)
    folder = Path(HydraConfig.get().runtime.output_dir)
    degradation = build_degradation(config)
    backbone = build_backbone(config)
    layer = build_layer(config)
    if config.denoiser.spectral_norm:
        layer.denoiser.normalise()
    model = MCNet(backbone, layer, degradation.operator)
    data = build_data(config, degradation, backbone)
    test_images = data.test_images()  # read first: a missing folder must not cost a training
    record: dict[str, Any] = {
        "kind": "layer",
        "scale": config.scale,
        "epsilon": config.epsilon,
        "protocol": degradation.protocol_label,
        "operator": degradation.operator.name,
        "backbone": backbone.spec.name,
        "backbone_sha256": backbone.spec.sha256,
        "backbone_hyperparameters": json.dumps(dict(backbone.spec.hyperparameters)),
    }
    checkpoint_record = {**record, "layer": describe_layer(model.layer), "config": plain(config)}
    module = LayerTraining(
        model, config.scale, config.protocol.name, config.epsilon, config.optimiser, checkpoint_record
    )
    name = f"{backbone.spec.name}_x{config.scale}_eps{config.epsilon:g}"
    tags = [backbone.spec.name, f"x{config.scale}", config.protocol.name]
    seconds = fit(config, module, data, folder, name, tags, [ComparisonPictures(folder / "pictures")])

    best = folder / "checkpoints" / "best.ckpt"
    if best.is_file():
        trained = load_layer(best, backbone.spec.name, config.scale)
        model.layer.load_state_dict(trained.state_dict())
    model.eval()
    save_layer(folder / "layer.safetensors", model.layer, {**record, "certificate": json.dumps(module.certificate())})
    ladder = build_ladder(
        config, backbone, model.layer, degradation, "cpu" if config.trainer.accelerator == "cpu" else "auto"
    )
    records = evaluate_ladder(ladder, test_images)
    means = [row for row in records if row.image == MEAN]
    title = f"equilibrium layer {name} on {backbone.spec.label}"
    write_model_card(folder, title, config, _start(config), seconds, module.trainer, _card(model, means))
    _log_results(module.loggers, records)
    write_metrics(folder / "metrics.csv", records)
    print(f"wrote {folder}")


def _start(config: DictConfig) -> str:
    """What the layer was before, in words."""
    layer, denoiser = config.layer.weights, config.denoiser.weights
    if layer != "none":
        return "the bundled layer" if layer == BUNDLED else f"layer {Path(layer).parent.name}/{Path(layer).name}"
    if denoiser == "none":
        return "random weights"
    return (
        "the bundled denoiser"
        if denoiser == BUNDLED
        else f"denoiser {Path(denoiser).parent.name}/{Path(denoiser).name}"
    )


def _card(model: MCNet, means: list[Record]) -> list[str]:
    certificate = model.layer.denoiser.certificate()
    rows = [
        f"| {row.dataset} | {row.method} | {row.psnr_y:.3f} | {row.ssim_y:.4f} | {row.consistency:.1e} |"
        f" {'' if row.evaluations is None else f'{row.evaluations:.1f}'} |"
        for row in means
    ]
    return [
        f"Protocol {means[0].protocol}, operator {means[0].operator}, beta {model.layer.prior_weight.item():.4f}.",
        "",
        "| test set | method | PSNR, dB | SSIM | l2 consistency | evaluations |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "Upper bounds of the layers' norms: "
        + ", ".join(f"{bound:.3f}" for bound in certificate.get("layer_norm_bounds", []))
        + f"; of the denoiser's Lipschitz constant: {certificate.get('denoiser_lipschitz_bound', float('nan')):.3f}.",
    ]


def _log_results(loggers: list[Any], records: list[Record]) -> None:
    """The ladder as a W&B table and summary; closes the W&B run, so that each job of a sweep has its own."""
    for logger in loggers:
        if not isinstance(logger, WandbLogger):
            continue
        logger.log_table("ladder", columns=COLUMNS, data=[[getattr(row, name) for name in COLUMNS] for row in records])
        for row in records:
            if row.image == MEAN:
                for figure in ("psnr_y", "ssim_y", "consistency"):
                    logger.experiment.summary[f"test/{row.dataset}/{row.method}/{figure}"] = getattr(row, figure)
        logger.experiment.finish()
