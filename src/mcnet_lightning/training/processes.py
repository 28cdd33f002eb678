"""A training in several processes: as many as were asked for, stopped together, and none left behind."""

import contextlib
import signal
import subprocess
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.exceptions import SIGTERMException

from mcnet_lightning.errors import ConfigError

# SIGTERM from a person or a scheduler; USR1 (Lightning) and USR2 (submitit) ask for a requeue before the time limit
ENDING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
PATIENCE = 600.0  # seconds that the other processes have to end by themselves; they die with the first at the latest


class WorldSize(Callback):
    """Refuses to train in fewer processes than the settings say: `srun -n1` with two devices would do so silently."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        wanted = trainer.num_devices * trainer.num_nodes
        found = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        if wanted != found:
            raise ConfigError(
                f"trainer.devices={trainer.num_devices} on trainer.num_nodes={trainer.num_nodes} need {wanted} "
                f"processes, but {found} came up; under Slurm set hydra.launcher.tasks_per_node={trainer.num_devices} "
                f"and hydra.launcher.nodes={trainer.num_nodes}"
            )


class EndTogether(Callback):
    """Lets a signal wait for the end of the step, agrees on it with all processes, and only then acts on it.

    A signal that interrupted one process within a step would leave the others waiting for it in a collective call.
    What acts on it is the handler that was there before (a scheduler's requeue), else SIGTERM ends the run; either
    way the last checkpoint is written first.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.received = 0
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ENDING:
            handler = signal.getsignal(number)
            if number == signal.SIGTERM or callable(handler):
                self._before[number] = handler
                signal.signal(number, self._remember)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, _: int) -> None:
        received = torch.tensor(float(self.received), device=pl_module.device)
        number = int(trainer.strategy.reduce(received, reduce_op="max"))
        if not number:
            return
        if number != signal.SIGTERM and callable(self._before.get(number)):
            if trainer.checkpoint_callbacks:
                trainer.save_checkpoint(self.checkpoint, weights_only=False)
            self._before[number](number, None)
        raise SIGTERMException

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.received:  # after the last step
            raise SIGTERMException

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.received = max(self.received, number)


def leave_process_group(trainer: pl.Trainer) -> None:
    """Ends the collective part of a run; the first process waits until the others that it started have gone."""
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
    if not trainer.is_global_zero:
        return
    for process in getattr(trainer.strategy.launcher, "procs", []):
        with contextlib.suppress(subprocess.TimeoutExpired):  # not killed: Lightning would take this process down too
            process.wait(PATIENCE)
