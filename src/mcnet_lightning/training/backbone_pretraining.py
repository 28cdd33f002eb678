"""Trains a backbone from random weights (or from another file), before it is frozen."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn

from mcnet_lightning.backbones.frozen import InputKind
from mcnet_lightning.config import Optimiser
from mcnet_lightning.evaluation.metrics import ImageMeans, psnr
from mcnet_lightning.imaging.degradation import ProtocolName
from mcnet_lightning.training.optimisation import adam_with_warmup, finite, weighted_mse


class BackbonePretraining(pl.LightningModule):
    """Mean squared error on Y; logs train/loss, val/psnr and val/gain (over bicubic)."""

    def __init__(
        self, network: nn.Module, input_kind: InputKind, scale: int, protocol: ProtocolName, optimiser: Optimiser
    ) -> None:
        super().__init__()
        self.network = network
        self.input_kind, self.scale, self.protocol, self.settings = input_kind, scale, protocol, optimiser
        self.means = ImageMeans(("psnr", "bicubic_psnr"))

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        estimate = self.network(batch[self.input_kind])
        loss = weighted_mse(estimate, batch["truth"], batch["upsampled"], self.settings.loss_weighting)
        loss = finite(loss, self.global_step)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        estimate = self.network(batch[self.input_kind])
        self.means.update(
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
        return adam_with_warmup(groups, self.settings, self.trainer.estimated_stepping_batches)
