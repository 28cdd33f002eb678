"""Where training curves go: always history.csv, and Weights & Biases unless switched off."""

import csv
import os
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from mcnet_lightning.config.training import Logger as LoggerConfig


class _HistoryWriter(ExperimentWriter):
    """Appends to the history of an earlier part of the same run instead of deleting it."""

    NAME_METRICS_FILE = "history.csv"  # metrics.csv is the finished run's result, written once, by evaluation

    def _check_log_dir_exists(self) -> None:
        if os.path.isfile(self.metrics_file_path):
            with open(self.metrics_file_path, newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])


class HistoryLogger(CSVLogger):
    """Lightning's CSV logger, writing RUN/history.csv."""

    @property
    def log_dir(self) -> str:
        return self.root_dir

    @property
    def experiment(self) -> Any:
        if self._experiment is None:
            os.makedirs(self.root_dir, exist_ok=True)
            self._experiment = _HistoryWriter(log_dir=self.root_dir)
        return self._experiment


def build_loggers(
    settings: LoggerConfig, folder: Path, name: str, config: dict[str, Any], tags: list[str]
) -> list[Logger]:
    """Loggers of one run. Offline W&B never asks for a login and never touches the network."""
    loggers: list[Logger] = [HistoryLogger(folder, name="", version="")]
    if settings.wandb:
        os.environ.setdefault("WANDB_SILENT", "true")
        wandb_logger = WandbLogger(
            project=settings.project,
            entity=settings.entity,
            group=settings.group,
            name=name,
            tags=[*tags, *settings.tags],
            save_dir=folder,
            offline=settings.offline,
        )
        wandb_logger._wandb_init.pop("anonymous", None)  # Lightning passes it on, and wandb warns that it is obsolete
        wandb_logger.log_hyperparams(config)
        loggers.append(wandb_logger)
    return loggers
