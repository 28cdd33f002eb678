"""A run that a signal ends goes on as if nothing had happened: same patches, same weights, every figure logged."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from mcnet_lightning.config.training import Optimiser
from mcnet_lightning.data.loading import PatchSampler, ResumableLoader
from mcnet_lightning.training.checkpoints import LastCheckpoint, StagedCheckpoints
from mcnet_lightning.training.loggers import HistoryLogger, forget_after
from mcnet_lightning.training.optimisation import adam_with_warmup
from mcnet_lightning.training.processes import EndTogether

BATCHES, EPOCHS = 4, 3


class Regression(pl.LightningModule):
    """Sends itself a signal within a step."""

    def __init__(self, signal_at: int | None = None, number: int = signal.SIGTERM) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network, self.signal_at, self.number = nn.Linear(3, 1), signal_at, number

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        if self.global_step == self.signal_at:
            os.kill(os.getpid(), self.number)
        loss = (self.network(batch) - batch.sum(1, keepdim=True)).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Tensor, _: int) -> None:
        self.log("val/loss", self.network(batch).mean())

    def configure_optimizers(self) -> Any:
        rates = [(self.parameters(), 0.1)]
        return adam_with_warmup(rates, Optimiser(), lambda: self.trainer.estimated_stepping_batches)


def fit(folder: Path, module: Regression, resume: Path | None = None) -> pl.Trainer:
    data: Any = torch.randn(2 * BATCHES, 3, generator=torch.Generator().manual_seed(1))
    loader = ResumableLoader(data, batch_size=2, sampler=PatchSampler(data, 1, 0, seed=0))
    forget_after(resume, folder)
    ending = EndTogether()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=HistoryLogger(folder),
        callbacks=[LastCheckpoint(folder / "last.ckpt", 100, ending), ending],
        plugins=[StagedCheckpoints()],
    )
    trainer.fit(module, loader, loader, ckpt_path=resume, weights_only=True)
    return trainer


@pytest.mark.parametrize("step", [1, BATCHES - 1, BATCHES, EPOCHS * BATCHES - 1])
def test_a_terminated_run_goes_on_as_if_nothing_had_happened(step: int, tmp_path: Path) -> None:
    whole, first, second = Regression(), Regression(step), Regression()
    fit(tmp_path / "whole", whole)
    with pytest.raises(SystemExit):
        fit(tmp_path / "cut", first)
    checkpoint = tmp_path / "cut" / "last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == step + 1
    fit(tmp_path / "cut", second, checkpoint)
    assert torch.equal(second.network.weight, whole.network.weight)
    assert (tmp_path / "cut" / "history.csv").read_text() == (tmp_path / "whole" / "history.csv").read_text()


def test_the_handler_of_a_scheduler_acts_once_the_checkpoint_is_there(tmp_path: Path) -> None:
    seen: list[bool] = []
    before = signal.signal(signal.SIGUSR2, lambda *_: seen.append((tmp_path / "last.ckpt").is_file()))
    try:
        with pytest.raises(SystemExit):
            fit(tmp_path, Regression(2, signal.SIGUSR2))
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert seen == [True]


def test_ctrl_c_keeps_the_step(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        fit(tmp_path, Regression(2, signal.SIGINT))
    assert isinstance(end.value.__context__, KeyboardInterrupt)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 3
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning leaves it ignored
