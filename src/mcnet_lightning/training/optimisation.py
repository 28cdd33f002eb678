"""Adam with warm-up and cosine decay, and the loss that all trainings share."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.nn import Parameter
from torch.optim.lr_scheduler import LambdaLR

from mcnet_lightning.config.training import Optimiser
from mcnet_lightning.errors import ConvergenceError
from mcnet_lightning.problems.figures import Figure

# added to a patch's prior error: below it (45 dB) patches are no longer pushed up
ERROR_FLOOR = {"mse": 3e-5, "l1": 5e-3}


class Training(pl.LightningModule):
    """headline: the figure of val/... by which its best checkpoint is chosen."""

    headline: Figure


def adam_with_warmup(
    groups: Iterable[tuple[Iterable[Parameter], float]], settings: Optimiser, total_steps: Callable[[], float]
) -> dict[str, Any]:
    """Lightning's optimiser dictionary for (parameters, peak learning rate) pairs.

    The length of the training is asked for when the warm-up is over: Lightning sets up its loaders to answer, and if
    that happens before a checkpoint has been restored, they begin where the epoch begins.
    """
    optimiser = torch.optim.Adam([{"params": list(parameters), "lr": rate} for parameters, rate in groups])

    def factor(step: int) -> float:
        if step < settings.warmup_steps:
            return (step + 1) / settings.warmup_steps
        done = step - settings.warmup_steps
        progress = done / max(1, total_steps() - settings.warmup_steps) if done else 0.0
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return settings.final_fraction + (1 - settings.final_fraction) * cosine

    schedule = _OwnRates(optimiser, factor)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _OwnRates(LambdaLR):
    """A schedule whose peak rates are those of the settings, also where a checkpoint was made with others."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rates = self.base_lrs
        super().load_state_dict(state_dict)
        if rates == self.base_lrs:
            return
        self.base_lrs = rates
        for group, rate, factor in zip(self.optimizer.param_groups, rates, self.lr_lambdas, strict=True):
            group["initial_lr"], group["lr"] = rate, rate * factor(self.last_epoch)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def training_loss(estimate: Tensor, target: Tensor, prior_image: Tensor, truth: Tensor, settings: Optimiser) -> Tensor:
    """Mean error of a batch of patches, (B, C, P, P), by `settings.loss`.

    `loss_weighting=prior_error` divides each patch by its prior image's own error, ||prior_image - truth|| (plus a
    floor), so that the loss rewards gain over the prior in dB and smooth patches are not drowned by hard ones.
    """
    error = _patch_errors(estimate, target, settings.loss)
    if settings.loss_weighting == "none":
        return error.mean()
    prior_error = _patch_errors(prior_image, truth, settings.loss).detach()
    return (error / (prior_error + ERROR_FLOOR[settings.loss])).mean()


def _patch_errors(estimate: Tensor, target: Tensor, loss: str) -> Tensor:
    difference = estimate - target
    return (difference.square() if loss == "mse" else difference.abs()).mean(dim=(1, 2, 3))


class FiniteWeights(Callback):
    """Raises ConvergenceError before weights that are NaN or infinite are validated or kept."""

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        require_finite_weights(pl_module)


def require_finite_weights(module: pl.LightningModule) -> None:
    """Raises ConvergenceError if a step has made a weight NaN or infinite."""
    if not all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters()):
        raise ConvergenceError(
            f"a weight is no longer finite after step {module.global_step}; lower optimiser.learning_rate"
        )


def finite(loss: Tensor, step: int) -> Tensor:
    """The loss itself. Raises ConvergenceError if training has diverged."""
    if not bool(torch.isfinite(loss)):
        raise ConvergenceError(f"the loss is {loss.item()} at step {step}; lower optimiser.learning_rate")
    return loss
