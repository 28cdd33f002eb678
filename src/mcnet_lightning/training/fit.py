"""One Lightning run: loggers, callbacks, checkpoints, resuming."""

import logging
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint

from mcnet_lightning.config.training import Trainer as TrainerConfig
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.training.callbacks import progress
from mcnet_lightning.training.loggers import build_loggers

LAST_EVERY_STEPS = 50


def plain(config: Any) -> dict[str, Any]:
    """A config as plain containers: what a checkpoint can hold and `torch.load(weights_only=True)` can read."""
    return OmegaConf.to_container(config, resolve=True, enum_to_str=True)  # type: ignore[return-value]


def fit(
    config: DictConfig,
    module: pl.LightningModule,
    data: pl.LightningDataModule,
    folder: Path,
    name: str,
    tags: list[str],
    callbacks: list[Callback] | None = None,
) -> float:
    """Trains to the end of `config.trainer`, keeps checkpoints/best.ckpt (by val/psnr) and last.ckpt, returns seconds.

    Afterwards `module` holds the averaged weights if averaging is on.
    """
    checkpoints = folder / "checkpoints"
    if config.resume is not None and not Path(config.resume).is_file():
        raise ConfigError(f"resume={config.resume}: there is no such checkpoint")
    common: dict[str, Any] = {"dirpath": checkpoints, "save_top_k": 1, "enable_version_counter": False}
    run_callbacks: list[Callback] = [
        ModelCheckpoint(filename="best", monitor="val/psnr", mode="max", **common),
        ModelCheckpoint(filename="last", every_n_train_steps=LAST_EVERY_STEPS, save_on_exception=True, **common),
        LearningRateMonitor("step"),
        *(callbacks or []),
    ]
    if config.optimiser.weight_average > 0:
        run_callbacks.append(EMAWeightAveraging(decay=config.optimiser.weight_average, use_buffers=False))
    if config.trainer.enable_progress_bar:
        run_callbacks.append(progress())
    _quieten_lightning()
    arguments: TrainerConfig = OmegaConf.to_object(config.trainer)  # type: ignore[assignment]
    trainer = pl.Trainer(
        **{
            **asdict(arguments),
            "default_root_dir": arguments.default_root_dir or str(folder),
            "logger": build_loggers(config.logger, folder, name, plain(config), tags),
            "callbacks": run_callbacks if arguments.enable_checkpointing else run_callbacks[2:],
        }
    )
    start = time.perf_counter()
    trainer.fit(module, data, ckpt_path=config.resume, weights_only=True)
    if arguments.enable_checkpointing:
        trainer.save_checkpoint(checkpoints / "last.ckpt", weights_only=False)
    return time.perf_counter() - start


def _quieten_lightning() -> None:
    """Keeps advertisements and hints that do not concern this framework off the screen; warnings stay."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
