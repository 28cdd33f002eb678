"""LR as it comes from cameras and the web: noise and JPEG of another strength for every patch and visit."""

from dataclasses import replace

import torch
from torch import Generator, Tensor

from mcnet_lightning.config.training import Damage
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.problems import Observation
from mcnet_lightning.problems.perturbation import through_jpeg

SEEN = "lr_rgb"  # the only input that a file holds as it is


def check_damage(damage: Damage, input_kind: str) -> None:
    """Raises ConfigError unless the network takes what is damaged, and ranges are ranges."""
    for name, ends in (("jpeg", damage.jpeg), ("noise", damage.noise)):
        if ends is not None and not (len(ends) == 2 and ends[0] <= ends[1]):
            raise ConfigError(f"damage.{name}={list(ends)}: give the two ends of a range, as in damage.{name}=[5,30]")
    if (damage.jpeg or damage.noise) and input_kind != SEEN:
        raise ConfigError("damage.* is for networks that take LR in colour, such as backbone=rcan")


def damaged(observation: Observation, damage: Damage, draws: Generator) -> Observation:
    """The same observation, of which the network sees a damaged LR; the truth and b stay."""
    if not (damage.jpeg or damage.noise):
        return observation
    given = observation.inputs[SEEN]
    made = torch.cat([_damaged(lr[None], damage, draws) for lr in given.cpu()]).to(given)
    return replace(observation, inputs={**observation.inputs, SEEN: made})


def _damaged(lr: Tensor, damage: Damage, draws: Generator) -> Tensor:
    if damage.noise and _happens(damage, draws):
        low, high = damage.noise
        level = low + (high - low) * float(torch.rand((), generator=draws))
        lr = lr + level / 255 * torch.randn(lr.shape, generator=draws)
        lr = (lr.clamp(0, 1) * 255).round() / 255
    if damage.jpeg and _happens(damage, draws):
        low, high = damage.jpeg
        lr = through_jpeg(lr, int(torch.randint(int(low), int(high) + 1, (), generator=draws)))
    return lr


def _happens(damage: Damage, draws: Generator) -> bool:
    return damage.share == 1 or float(torch.rand((), generator=draws)) < damage.share
