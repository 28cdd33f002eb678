"""Sparse wavelet coefficients under the constraint: compressed sensing's prior, without a network."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.methods.primal_dual import SparseDifferences


@dataclass
class Wavelet(SparseDifferences):
    """min_x ||W x||_1 subject to ||b - A x||_2 <= epsilon; W x are the details of the undecimated Haar transform of so
    many levels (Coifman & Donoho, 1995): a tight frame, periodic at the border, in which no shift of x is another case.
    """

    levels: int = 3
    norm_squared: ClassVar[float] = 1.0
    name: ClassVar[str] = "wavelet"
    label: ClassVar[str] = "Wavelet sparsity"
    settings: ClassVar[tuple[str, ...]] = ("epsilon", "wavelet")
    rank: ClassVar[int] = 2
    remedy: ClassVar[str] = "wavelet.max_steps"
    compared: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.levels < 1:
            raise ConfigError(f"levels={self.levels} of wavelet must be at least 1")

    def differences(self, image: Tensor) -> Tensor:
        coarse, details = image, []
        for level in range(self.levels):
            low, high = _split(coarse, 2**level, -2)
            coarse, across = _split(low, 2**level, -1)
            details += [across, *_split(high, 2**level, -1)]
        return torch.cat(details, dim=1)

    def adjoint(self, differences: Tensor) -> Tensor:
        details = differences.chunk(3 * self.levels, dim=1)
        coarse = torch.zeros_like(details[0])
        for level in reversed(range(self.levels)):
            across, down, both = details[3 * level : 3 * level + 3]
            low = _joined(coarse, across, 2**level, -1)
            coarse = _joined(low, _joined(down, both, 2**level, -1), 2**level, -2)
        return coarse


def _split(image: Tensor, shift: int, axis: int) -> tuple[Tensor, Tensor]:
    """Means and half differences of values `shift` apart."""
    other = image.roll(-shift, axis)
    return (image + other) / 2, (image - other) / 2


def _joined(low: Tensor, high: Tensor, shift: int, axis: int) -> Tensor:
    """The transpose of `_split`."""
    return (low + high) / 2 + ((low - high) / 2).roll(shift, axis)
