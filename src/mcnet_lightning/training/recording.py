"""A finished run's results in its loggers: per-image table, means, certificate, pictures, and its report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger, WandbLogger

from mcnet_lightning.evaluation.ladder import MEAN, Record

TABLE = {"dataset": "dataset", "image": "image", "method": "method"} | {
    "psnr": "psnr_y",
    "ssim": "ssim_y",
    "consistency": "consistency",
    "evaluations": "evaluations",
    "residual": "residual",
}
REPORT = ("MODEL_CARD.md", "history.csv")


def record_results(
    loggers: Sequence[Logger], records: Sequence[Record], certificate: dict[str, Any], folder: Path, name: str
) -> None:
    """Sends what a run found to every logger that can hold it."""
    means = summary(records)
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            _to_wandb(logger, records, means, certificate, folder, name)
        elif isinstance(logger, MLFlowLogger):
            logger.log_metrics({key.replace("+", "_plus_"): value for key, value in means.items()})
            for file in REPORT:
                logger.experiment.log_artifact(logger.run_id, str(folder / file))


def summary(records: Sequence[Record]) -> dict[str, float]:
    """test/DATASET/METHOD/FIGURE: means over the images of a dataset; and the layer's over the first one as test/..."""
    means = [row for row in records if row.image == MEAN]
    backbone = {row.dataset: row.psnr_y for row in means if row.method == "backbone"}
    figures: dict[str, float] = {}
    for row in means:
        of_row: dict[str, float | None] = {
            "psnr": row.psnr_y,
            "ssim": row.ssim_y,
            "consistency": row.consistency,
            "evaluations": row.evaluations,
            "residual": row.residual,
            "gain": row.psnr_y - backbone[row.dataset] if row.dataset in backbone else None,
        }
        known = {key: value for key, value in of_row.items() if value is not None}
        figures |= {f"test/{row.dataset}/{row.method}/{key}": value for key, value in known.items()}
        if row.method == "mcnet" and row.dataset == means[0].dataset:
            figures |= {f"test/{key}": value for key, value in known.items()}
    return figures


def _to_wandb(
    logger: WandbLogger,
    records: Sequence[Record],
    means: dict[str, float],
    certificate: dict[str, Any],
    folder: Path,
    name: str,
) -> None:
    import wandb

    images = [row for row in records if row.image != MEAN]
    rows = [[getattr(row, field) for field in TABLE.values()] for row in images]
    logger.log_table("test/images", columns=list(TABLE), data=rows)
    logger.experiment.summary.update(means)
    logger.experiment.summary.update({f"certificate/{key}": value for key, value in certificate.items()})
    artifact = wandb.Artifact(f"{name}-report", type="report")
    for file in REPORT:
        if (folder / file).is_file():
            artifact.add_file(str(folder / file))
    logger.experiment.log_artifact(artifact)
