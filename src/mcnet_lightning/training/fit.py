"""One Lightning run: loggers, callbacks, checkpoints, resuming."""

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, LearningRateMonitor
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException

from mcnet_lightning.config.commands import EPSILON
from mcnet_lightning.data import MeasurementDataModule
from mcnet_lightning.errors import ConfigError, Terminated
from mcnet_lightning.training.callbacks import progress
from mcnet_lightning.training.checkpoints import BestCheckpoint, LastCheckpoint, StagedCheckpoints
from mcnet_lightning.training.loggers import build_loggers, forget_after
from mcnet_lightning.training.optimisation import FiniteWeights, Training
from mcnet_lightning.training.processes import EndTogether, WorldSize, leave_process_group
from mcnet_lightning.training.resuming import LAST, Identity, RunRecord, require_fit


class Average(EMAWeightAveraging):
    """The average becomes the network when the run ends, not with its last step: also where a run that goes on finds
    that no step is left, and so that last.ckpt keeps the weights that further training starts from.
    """

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pass

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._copy_average_to_current(pl_module)


def plain(config: Any) -> dict[str, Any]:
    """A config as plain containers: what a checkpoint can hold and `torch.load(weights_only=True)` can read. An epsilon
    that nobody gave stands as the 0 that it means, so that loggers can plot it.
    """
    settings: Any = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    if "epsilon" in settings and all(settings[key] is None for key in EPSILON):
        settings["epsilon"] = 0.0
    return settings


def fit(
    config: DictConfig,
    module: Training,
    data: MeasurementDataModule,
    folder: Path,
    name: str,
    tags: list[str],
    identity: Identity,
    callbacks: list[Callback] | None = None,
) -> float:
    """Trains to the end of `config.trainer`, keeps checkpoints/best.ckpt (by the module's `headline`) and
    last.ckpt, returns seconds.

    Goes on from `config.resume`, which `take_up` has settled. `identity`: what a run that goes on from these
    checkpoints must agree in.

    Afterwards `module` holds the averaged weights if averaging is on, and of several processes only the first has
    anything left to do: `module.trainer.is_global_zero`.
    """
    resume = None if config.resume is None else Path(config.resume)
    if resume is not None:
        require_fit(resume, module)
    forget_after(resume, folder)
    ending = EndTogether()
    run_callbacks: list[Callback] = [
        BestCheckpoint(folder / "checkpoints", resume, module.headline),
        LastCheckpoint(folder / LAST, config.checkpoint_steps, ending),
        RunRecord(plain(config), identity, data),
        LearningRateMonitor("step"),
        WorldSize(),
        FiniteWeights(),
        ending,
        *(callbacks or []),
    ]
    if config.optimiser.weight_average > 0:
        run_callbacks.append(Average(decay=config.optimiser.weight_average, use_buffers=False))
    if config.trainer.enable_progress_bar:
        run_callbacks.append(progress())
    _quieten_lightning()
    arguments: Any = OmegaConf.to_container(config.trainer)
    trainer = _trainer(
        **{
            **arguments,
            "default_root_dir": arguments["default_root_dir"] or str(folder),
            "logger": build_loggers(config.logger, folder, name, plain(config), tags),
            "callbacks": run_callbacks if arguments["enable_checkpointing"] else run_callbacks[2:],
            "plugins": _plugins(arguments["plugins"]),
        }
    )
    start = time.perf_counter()
    try:
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    except SIGTERMException:  # Lightning's own, with exit code 0, of a signal before the first step
        raise Terminated from None
    leave_process_group(trainer)
    return time.perf_counter() - start


def _plugins(given: Any) -> list[Any]:
    if given is None:
        return [StagedCheckpoints()]
    return [*(given if isinstance(given, list) else [given]), StagedCheckpoints()]


def _trainer(**arguments: Any) -> pl.Trainer:
    """Lightning's Trainer. Raises ConfigError where there are no such devices, or Slurm started it otherwise."""
    try:
        return pl.Trainer(**arguments)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise ConfigError(f"trainer: {' '.join(str(error).split())}") from error


def _quieten_lightning() -> None:
    """Keeps advertisements and hints that do not concern this framework off the screen; warnings stay."""
    for talkative in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # Lightning's own call of PyTorch
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # patches are in memory
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")  # it goes on
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")  # short trainings are meant
    warnings.filterwarnings("ignore", message=".*`srun` command is available.*")  # one process may be meant
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # ImageMeans has reduced these already
    warnings.filterwarnings("ignore", message=".*do not match bucket view strides.*")  # weights are channels-last
