"""Trains a backbone from random weights (or from another file), before it is frozen."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from mcnet_lightning.backbones import as_luma
from mcnet_lightning.config.training import Optimiser
from mcnet_lightning.data import orient
from mcnet_lightning.evaluation.metrics import ImageMeans, psnr
from mcnet_lightning.imaging.degradation import ProtocolName
from mcnet_lightning.training.draws import generator_for
from mcnet_lightning.training.optimisation import adam_with_warmup, finite, training_loss


class BackbonePretraining(pl.LightningModule):
    """Error on Y, or on RGB for a network that makes RGB; logs train/loss, val/psnr and val/gain (over bicubic)."""

    def __init__(
        self,
        network: nn.Module,
        input_kind: str,
        scale: int,
        protocol: ProtocolName,
        optimiser: Optimiser,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self.input_kind, self.scale, self.protocol = input_kind, scale, protocol
        self.settings, self.seed = optimiser, seed
        self.means = ImageMeans(("psnr", "bicubic_psnr"))

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        turn = int(torch.randint(8, (), generator=generator_for(self.seed, self.current_epoch, index)))
        batch = {name: value if value.ndim < 4 else orient(value, turn) for name, value in batch.items()}
        estimate, truth = self.network(batch[self.input_kind]), batch["truth"]
        target = batch["truth_rgb"] if estimate.shape[1] == 3 else truth
        loss = training_loss(estimate, target, batch["upsampled"], truth, self.settings)
        loss = finite(loss, self.global_step)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        estimate = as_luma(self.network(batch[self.input_kind])).float()
        self.means.update(
            batch["counts"],
            psnr=psnr(estimate, batch["truth"], self.scale, self.protocol),
            bicubic_psnr=psnr(batch["upsampled"], batch["truth"], self.scale, self.protocol),
        )

    def on_validation_epoch_end(self) -> None:
        means = self.means.compute()
        self.means.reset()
        gain = means["psnr"] - means["bicubic_psnr"]
        self.log_dict({"val/psnr": means["psnr"].float(), "val/gain": gain.float()}, prog_bar=True)

    def configure_optimizers(self) -> Any:
        groups = [(self.network.parameters(), self.settings.learning_rate)]
        return adam_with_warmup(groups, self.settings, lambda: self.trainer.estimated_stepping_batches)
