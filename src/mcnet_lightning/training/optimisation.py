"""Adam with warm-up and cosine decay, and the loss that all trainings share."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from mcnet_lightning.config.training import Optimiser
from mcnet_lightning.errors import ConvergenceError

# added to a patch's prior error: below it (45 dB) patches are no longer pushed up
ERROR_FLOOR = {"mse": 3e-5, "l1": 5e-3}


def adam_with_warmup(
    groups: Iterable[tuple[Iterable[Parameter], float]], settings: Optimiser, total_steps: float
) -> dict[str, Any]:
    """Lightning's optimiser dictionary for (parameters, peak learning rate) pairs."""
    optimiser = torch.optim.Adam([{"params": list(parameters), "lr": rate} for parameters, rate in groups])

    def factor(step: int) -> float:
        if step < settings.warmup_steps:
            return (step + 1) / settings.warmup_steps
        progress = (step - settings.warmup_steps) / max(1, total_steps - settings.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return settings.final_fraction + (1 - settings.final_fraction) * cosine

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


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


def finite(loss: Tensor, step: int) -> Tensor:
    """The loss itself. Raises ConvergenceError if training has diverged."""
    if not bool(torch.isfinite(loss)):
        raise ConvergenceError(f"the loss is {loss.item()} at step {step}; lower optimiser.learning_rate")
    return loss
