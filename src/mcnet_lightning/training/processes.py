"""A training in several processes: as many as were asked for, stopped together, and none left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback

from mcnet_lightning.errors import ConfigError, Terminated

REQUEUING = (signal.SIGUSR1, signal.SIGUSR2)  # before the time limit, to jobs of Lightning's and of submitit's
ENDING = (signal.SIGINT, signal.SIGTERM, *REQUEUING)
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

    A signal that interrupted one process within a step would leave the others waiting for it in a collective call, and
    a checkpoint written within a step counts its patches as seen. After the step LastCheckpoint writes one; then USR1
    puts the Slurm job back in the queue, USR2 is left to the handler that was there before (submitit's, which does
    the same), and the run ends. A second Ctrl-C acts at once.
    """

    def __init__(self) -> None:
        self.received = 0
        self.agreed = 0
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ENDING:
            handler = signal.getsignal(number)
            if number not in REQUEUING or callable(handler):
                self._before[number] = handler
                signal.signal(number, self._remember)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        received = torch.tensor(float(self.received), device=pl_module.device)
        self.agreed = int(trainer.strategy.reduce(received, reduce_op="max"))

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        if index % trainer.accumulate_grad_batches == 0:  # else the gradients of half a step would be lost
            self._act()  # by now the last step is logged, validated if that was due, and in a checkpoint

    def on_fit_end(self, *_: Any) -> None:
        self.agreed = self.received  # after the last step
        self._act()

    def _act(self) -> None:
        number = self.agreed
        if not number:
            return
        if number == signal.SIGUSR1:
            requeue()
        if number == signal.SIGUSR2:
            self._before[number](number, None)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Terminated

    def _remember(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT == self.received:
            raise KeyboardInterrupt
        self.received = max(self.received, number)


def requeue() -> None:
    """Has Slurm put this job back in the queue; the first of its tasks asks. It goes on from `requeued_checkpoint`."""
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    print(f"job {job} is put back in the queue" if done.returncode == 0 else done.stderr.strip(), file=sys.stderr)


def requeued_checkpoint(checkpoint: Path) -> str | None:
    """The checkpoint of this job's earlier part, if Slurm has put it back in the queue."""
    return str(checkpoint) if "SLURM_RESTART_COUNT" in os.environ and checkpoint.is_file() else None


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
