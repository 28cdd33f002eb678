"""How well a picture agrees with its measurement, channel by channel, and who the operator was."""

import hashlib
import math
from dataclasses import dataclass

import torch

from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.restoration.pictures import Picture
from mcnet_lightning.restoration.restorer import check_pair, luma

NAMES = {1: ("gray",), 3: ("red", "green", "blue")}
BESIDE_COLOUR = ("luma", "alpha")  # entries of a consistency that epsilon does not bound
ROUNDING = 1e-6  # root mean square that float32 files and arithmetic may leave: 120 dB
PROBE = (12, 10)  # measurement pixels of the image whose measurement identifies an operator


@dataclass(frozen=True)
class Agreement:
    """consistency: ||A x_c - b_c||_2 of every colour channel, of Y and of alpha if both have it, for values in [0, 1].

    lr_psnr: 10 log10(1 / mse) in dB of A x against b over all colour channels, and lr_psnr_luma on Y; infinite where
    they are equal. pixels: of the measurement, per channel.
    """

    consistency: dict[str, float]
    lr_psnr: float
    lr_psnr_luma: float
    pixels: int

    @property
    def largest(self) -> float:
        """||A x_c - b_c||_2 of the worst colour channel: what epsilon bounds."""
        return max(value for name, value in self.consistency.items() if name not in BESIDE_COLOUR)

    def meets(self, epsilon: float) -> bool:
        """Whether every colour channel is within epsilon, but for the rounding of float32."""
        return self.largest <= epsilon + ROUNDING * math.sqrt(self.pixels)


@torch.no_grad()
def agreement(picture: Picture, measurement: Picture, operator: MeasurementOperator) -> Agreement:
    """Measured in float64; gray compares to colour as three equal channels. Raises DataError if sizes do not fit."""
    check_pair(picture, measurement, operator)
    channels = max(len(picture.colour), len(measurement.colour))
    made = operator(picture.colour.expand(channels, -1, -1)[None])[0]
    target = operator.measured(measurement.colour.expand(channels, -1, -1)[None])[0]
    error = made - target
    consistency = {name: float(channel.norm()) for name, channel in zip(NAMES[channels], error, strict=True)}
    luma_error = luma(made) - luma(target)
    consistency["luma"] = float(luma_error.norm())
    if picture.alpha is not None and measurement.alpha is not None:
        consistency["alpha"] = float((operator(picture.alpha[None])[0] - measurement.alpha).norm())
    return Agreement(consistency, _decibel(error), _decibel(luma_error), error[0].numel())


def operator_digest(operator: MeasurementOperator) -> str:
    """SHA-256 of what the operator does to a fixed picture, to six decimals: the same for whoever implements it."""
    channels, *size = operator.image_shape or (1, *operator.image_size(PROBE))
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in size)
    probe = (7 * rows[:, None] + 13 * columns + 3 * rows[:, None] * columns) % 256 / 255
    values = (operator(probe.expand(1, channels, *size)) * 1e6).round().long().numpy()
    return hashlib.sha256(values.astype("<i8").tobytes()).hexdigest()


def _decibel(error: torch.Tensor) -> float:
    mean = float(error.square().mean())
    return math.inf if mean == 0 else -10 * math.log10(mean)
