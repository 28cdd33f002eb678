"""What a person sees while a run goes on."""

import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ProgressBar, RichProgressBar

from mcnet_lightning.evaluation.figures import comparison_picture
from mcnet_lightning.imaging import write_png
from mcnet_lightning.training.recording import record_picture


def progress() -> Callback:
    """A rich bar on a terminal, one line per validation in a log file."""
    return RichProgressBar(leave=True) if sys.stdout.isatty() else LineProgress()


class LineProgress(ProgressBar):
    """Prints epoch, step and the progress-bar metrics after each validation, in the first process."""

    shown = True

    def disable(self) -> None:  # Lightning asks all other processes to
        self.shown = False

    def enable(self) -> None:
        self.shown = True

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not self.shown:
            return
        figures = {name: value for name, value in self.get_metrics(trainer, pl_module).items() if name != "v_num"}
        shown = "  ".join(f"{name} {_short(value)}" for name, value in figures.items())
        print(f"epoch {trainer.current_epoch + 1}  step {trainer.global_step}  {shown}", flush=True)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class ComparisonPictures(Callback):
    """After each validation writes LR, backbone, MCNet, HR and error maps of its first image; also to the loggers.

    Asks the module for `last_validation_image`, a dict of the panels.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        panels: dict[str, torch.Tensor] | None = getattr(pl_module, "last_validation_image", None)
        if panels is None or trainer.sanity_checking or not trainer.is_global_zero:
            return
        picture = comparison_picture(**panels)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_png(self.folder / f"step_{trainer.global_step:06d}.png", picture)
        record_picture(trainer.loggers, "val/comparison", picture, trainer.global_step)
