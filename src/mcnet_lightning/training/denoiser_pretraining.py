"""Stage 1: R as a Gaussian denoiser, before it becomes the prior of an equilibrium."""

from typing import Any

import torch
from torch import Tensor

from mcnet_lightning.config.training import Optimiser
from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.evaluation.metrics import ImageMeans
from mcnet_lightning.problems import figure
from mcnet_lightning.problems.quality import psnr
from mcnet_lightning.training.draws import generator_for
from mcnet_lightning.training.optimisation import Training, adam_with_warmup, finite


class DenoiserPretraining(Training):
    """Mean squared error of R(x + n) against x, n white Gaussian, its level drawn per patch from `noise_level`.

    Logs train/loss, val/psnr (at the middle of the range) and val/gain over the noisy image.
    """

    def __init__(self, denoiser: DnCNN, noise_level: tuple[float, float], optimiser: Optimiser, seed: int = 0) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.low, self.high = noise_level
        self.settings, self.seed = optimiser, seed
        self.headline = figure("psnr")
        self.means = ImageMeans(("psnr", "noisy_psnr"))

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        clean = batch["observation"].truth
        level, noise = self._draw(batch["index"], clean)
        denoised = self.denoiser(clean + level * noise)
        # in units of the noise: every level counts
        loss = finite(((denoised - clean) / level).square().mean(), self.global_step)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def _draw(self, index: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Level (B, 1, 1, 1) and unit noise of each patch in this epoch, whatever batch or process it is in."""
        levels, noises = [], []
        for patch in index.tolist():
            generator = generator_for(self.seed, self.current_epoch, patch)
            levels.append(torch.empty(1, 1, 1).uniform_(self.low, self.high, generator=generator))
            noises.append(torch.randn(clean.shape[1:], generator=generator))
        return torch.stack(levels).to(clean), torch.stack(noises).to(clean)

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        level = (self.low + self.high) / 2
        figures = denoising_psnr(self.denoiser, batch["observation"].truth, level, seed=batch["position"])
        self.means.update(batch["counts"], **figures)

    def on_validation_epoch_end(self) -> None:
        means = self.means.compute()
        self.means.reset()
        gain = means["psnr"] - means["noisy_psnr"]
        self.log_dict({"val/psnr": means["psnr"].float(), "val/gain": gain.float()}, prog_bar=True)

    def configure_optimizers(self) -> Any:
        groups = [(self.denoiser.parameters(), self.settings.learning_rate)]
        return adam_with_warmup(groups, self.settings, lambda: self.trainer.estimated_stepping_batches)


@torch.no_grad()
def denoising_psnr(denoiser: DnCNN, clean: Tensor, level: float, seed: int) -> dict[str, Tensor]:
    """PSNR in dB before and after, per image (B,), at one noise level and a fixed draw."""
    generator = torch.Generator().manual_seed(seed)
    noisy = clean + level * torch.randn(clean.shape, generator=generator).to(clean)
    return {"psnr": psnr(denoiser(noisy), clean, 0), "noisy_psnr": psnr(noisy, clean, 0)}
