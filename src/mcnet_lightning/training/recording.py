"""A finished run's results in its loggers: per-image table, means, certificate, pictures, and its report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from torch import Tensor

from mcnet_lightning.evaluation.records import MEAN, Record, finite, gains
from mcnet_lightning.problems.figures import figure
from mcnet_lightning.training.leaving_out import leaving_out

NAMED = ("dataset", "image", "method")
NUMBERS = ("consistency", "evaluations", "residual", "epsilon", "headroom")
REPORT = ("MODEL_CARD.md", "history.csv")


def record_picture(loggers: Sequence[Logger], name: str, picture: Tensor, step: int) -> None:
    """Sends a gray picture (1, height, width) in [0, 1] to every logger that can hold it, and can be written."""
    for logger in loggers:
        with leaving_out(f"the picture {name} of {type(logger).__name__}"):
            if isinstance(logger, WandbLogger):
                logger.log_image(name, [picture[0].numpy()], step=step)
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, picture, step)
            elif isinstance(logger, MLFlowLogger):
                logger.experiment.log_image(logger.run_id, picture[0].numpy(), key=name, step=step)


def record_results(
    loggers: Sequence[Logger], records: Sequence[Record], certificate: dict[str, Any], folder: Path, name: str
) -> None:
    """Sends what a run found to every logger that can hold it, and can be written."""
    means = summary(records)
    kinds = [figure(name).kind for name in records[0].figures] if records else []
    table = [[*NAMED, *kinds, *NUMBERS]] + [
        [*(getattr(row, name) for name in NAMED), *row.figures.values(), *(getattr(row, name) for name in NUMBERS)]
        for row in records
        if row.image != MEAN
    ]
    for logger in loggers:
        with leaving_out(f"the results of {type(logger).__name__}"):
            if isinstance(logger, WandbLogger):
                _to_wandb(logger, table, means, certificate, folder, name)
            elif isinstance(logger, TensorBoardLogger):
                _to_tensorboard(logger, table, means)
            elif isinstance(logger, MLFlowLogger):
                _to_mlflow(logger, table, means, certificate, folder)


def summary(records: Sequence[Record]) -> dict[str, float]:
    """test/DATASET/METHOD/FIGURE: means over the images of a dataset; and the layer's over the first one as test/..."""
    means = [row for row in records if row.image == MEAN]
    figures: dict[str, float] = {}
    for row in means:
        over_backbone, over_projection = gains(row, means)
        of_row: dict[str, float | None] = {
            **{figure(name).kind: value for name, value in row.figures.items()},
            "consistency": row.consistency,
            "evaluations": row.evaluations,
            "residual": row.residual,
            "gain": over_backbone,
            "gain_over_projection": over_projection,
            "headroom": row.headroom,
        }
        known = {key: number for key, value in of_row.items() if (number := finite(value)) is not None}
        figures |= {f"test/{row.dataset}/{row.method}/{key}": value for key, value in known.items()}
        if row.method == "mcnet" and row.dataset == means[0].dataset:
            figures |= {f"test/{key}": value for key, value in known.items()}
    return figures


def _to_wandb(
    logger: WandbLogger,
    table: list[list[Any]],
    means: dict[str, float],
    certificate: dict[str, Any],
    folder: Path,
    name: str,
) -> None:
    import wandb

    if table[1:]:
        logger.log_table("test/images", columns=table[0], data=table[1:])
    logger.experiment.summary.update(means)
    logger.experiment.summary.update({f"certificate/{key}": value for key, value in certificate.items()})
    artifact = wandb.Artifact(f"{name}-report", type="report")
    for file in REPORT:
        if (folder / file).is_file():
            artifact.add_file(str(folder / file))
    logger.experiment.log_artifact(artifact)


def _to_tensorboard(logger: TensorBoardLogger, table: list[list[Any]], means: dict[str, float]) -> None:
    """Means beside the settings (the HParams page), and the table of images as text."""
    logger.log_hyperparams(dict(logger.hparams), means)
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    text = "\n".join(f"| {' | '.join('' if cell is None else str(cell) for cell in line)} |" for line in lines)
    logger.experiment.add_text("test/images", text)
    logger.experiment.flush()


def _to_mlflow(
    logger: MLFlowLogger, table: list[list[Any]], means: dict[str, float], certificate: dict[str, Any], folder: Path
) -> None:
    client, run = logger.experiment, logger.run_id
    logger.log_metrics({key.replace("+", "_plus_"): value for key, value in means.items()})
    if table[1:]:
        columns = map(list, zip(*table[1:], strict=True))
        client.log_table(run, dict(zip(table[0], columns, strict=True)), "test_images.json")
    client.log_dict(run, certificate, "certificate.json")
    for file in REPORT:
        if (folder / file).is_file():
            client.log_artifact(run, str(folder / file))
