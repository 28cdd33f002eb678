"""Which frequencies are measured: masks (H, W) of zeros and ones, the zero frequency at (H // 2, W // 2).

A pattern is a function of the size and of a generator: the same random numbers give the same mask.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files.arrays import read_array
from mcnet_lightning.operators.base import Size
from mcnet_lightning.operators.fourier import mirrored

FULL = 0.1  # radius, in half widths, within which Poisson discs leave nothing out
CALIBRATION = 0  # seed of the masks by which the distance of Poisson discs is found


class Sampling(ABC):
    """A pattern of sampling."""

    @property
    def corner(self) -> bool:
        """Whether it comes from where the zero frequency is a spectrum's first sample."""
        return False

    @abstractmethod
    def mask(self, size: Size, generator: np.random.Generator) -> Tensor:
        """(H, W), float32, of zeros and ones."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Kind and parameters in one word."""


@dataclass(frozen=True)
class Cartesian(Sampling):
    """Whole columns: those in the middle, a share `centre` of all, and others at random, W / `acceleration` together
    (fastMRI's protocol: 4 and 0.08, or 8 and 0.04).
    """

    acceleration: float = 4.0
    centre: float = 0.08

    def __post_init__(self) -> None:
        if not 0 <= self.centre <= 1 / max(self.acceleration, 1) <= 1 <= self.acceleration:
            raise ConfigError(
                f"acceleration={self.acceleration:g} leaves no {self.centre:.0%} of the columns for the centre; "
                "fastMRI's protocol takes 4 and 0.08, or 8 and 0.04"
            )

    @property
    def name(self) -> str:
        return f"cartesian{self.acceleration:g}x-{self.centre:g}"

    def mask(self, size: Size, generator: np.random.Generator) -> Tensor:
        width = size[1]
        middle, wanted = round(width * self.centre), round(width / self.acceleration)
        columns = torch.zeros(width)
        first = width // 2 - middle // 2
        columns[first : first + middle] = 1
        others = generator.permutation(np.flatnonzero(columns.numpy() == 0))[: max(0, wanted - middle)]
        columns[torch.from_numpy(others)] = 1
        return columns.expand(size).clone()


@dataclass(frozen=True)
class Radial(Sampling):
    """Equally spaced lines through the zero frequency, as many as make the share `rate` of all samples, turned by a
    random angle; point-symmetric.
    """

    rate: float = 0.2

    def __post_init__(self) -> None:
        _require_rate(self.rate)

    @property
    def name(self) -> str:
        return f"radial{self.rate:g}"

    def mask(self, size: Size, generator: np.random.Generator) -> Tensor:
        start = generator.random() * math.pi
        fewest, most = 1, 4 * max(size)
        while fewest < most:  # the coverage grows with the number of lines, or nearly so
            lines = (fewest + most) // 2
            if float(self._lines(size, lines, start).mean()) < self.rate:
                fewest = lines + 1
            else:
                most = lines
        candidates = [self._lines(size, lines, start) for lines in (max(1, fewest - 1), fewest)]
        return min(candidates, key=lambda mask: abs(float(mask.mean()) - self.rate))

    @staticmethod
    def _lines(size: Size, lines: int, start: float) -> Tensor:
        height, width = size
        reach = max(size)
        angle = (start + torch.arange(lines, dtype=torch.float64) * math.pi / lines)[:, None]
        along = torch.arange(-reach, reach + 1, dtype=torch.float64)[None] / 2
        rows = (along * torch.sin(angle)).round().long() + height // 2
        columns = (along * torch.cos(angle)).round().long() + width // 2
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        mask = torch.zeros(size)
        mask[rows[inside], columns[inside]] = 1
        return torch.maximum(mask, mirrored(mask))


@dataclass(frozen=True)
class PoissonDisc(Sampling):
    """Single samples at random, no two nearer than a distance that grows with the frequency; all of the lowest ones."""

    rate: float = 0.1

    def __post_init__(self) -> None:
        _require_rate(self.rate)

    @property
    def name(self) -> str:
        return f"poisson{self.rate:g}"

    def mask(self, size: Size, generator: np.random.Generator) -> Tensor:
        return _discs(size, _spacing(size, self.rate), generator)


@dataclass(frozen=True)
class Mixed(Sampling):
    """For each image another pattern and rate, for training a network that is to serve all of them: columns at 4 or 8,
    or lines or discs that cover 10, 15, ... 30 %.
    """

    @property
    def name(self) -> str:
        return "mixed"

    def mask(self, size: Size, generator: np.random.Generator) -> Tensor:
        kind, rate = generator.integers(3), 0.05 * int(generator.integers(2, 7))
        if kind == 0:
            return (Cartesian(4, 0.08) if generator.random() < 0.5 else Cartesian(8, 0.04)).mask(size, generator)
        return (Radial(rate) if kind == 1 else PoissonDisc(rate)).mask(size, generator)


@lru_cache(maxsize=32)
def _spacing(size: Size, rate: float) -> float:
    """The distance per half width of frequency by which Poisson discs cover the share `rate`."""
    near, far = 0.0, 40.0
    for _ in range(9):
        middle = (near + far) / 2
        covered = float(_discs(size, middle, np.random.default_rng(CALIBRATION)).mean())
        near, far = (middle, far) if covered > rate else (near, middle)
    return (near + far) / 2


def _discs(size: Size, spacing: float, generator: np.random.Generator) -> Tensor:
    """Dart throwing: places in random order, each taken unless it is within the distance of one that has been."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    radius = np.hypot((rows - height // 2) / (height / 2), (columns - width // 2) / (width / 2))
    reaches = np.ceil(spacing * np.maximum(radius - FULL, 0)).astype(int).ravel().tolist()
    taken = (radius <= FULL).ravel()
    closed, full_line = bytearray(taken.tobytes()), bytes([1]) * width
    found = []
    for place in generator.permutation(height * width).tolist():
        if closed[place]:
            continue
        found.append(place)
        row, column = divmod(place, width)
        near = reaches[place] - 1
        left, right = max(0, column - near), min(width, column + near + 1)
        for line in range(max(0, row - near), min(height, row + near + 1)):
            closed[line * width + left : line * width + right] = full_line[: right - left]
    taken[found] = True
    return torch.from_numpy(taken.reshape(size)).float()


@dataclass(frozen=True)
class MaskFile(Sampling):
    """One mask for all images, from a picture or array file (PATH:NAME where it holds several)."""

    path: str

    @property
    def name(self) -> str:
        return f"mask-{Path(self.path.rpartition(':')[0] or self.path).stem}"

    def mask(self, size: Size, generator: np.random.Generator) -> Tensor:
        mask, _ = self._read
        if tuple(mask.shape) != tuple(size):
            raise ConfigError(f"the mask {self.path} is for images of {tuple(mask.shape)}, got {tuple(size)}")
        return mask

    @property
    def corner(self) -> bool:
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[Tensor, bool]:
        return read_mask(self.path)


def read_mask(path: str) -> tuple[Tensor, bool]:
    """(H, W) of zeros and ones, and whether the file has the zero frequency in its corner, as `fft2` leaves it, which
    is then brought to the middle: the low frequencies are where more is measured.
    """
    values = np.squeeze(read_array(path))
    if values.ndim != 2 or np.iscomplexobj(values):
        raise ConfigError(f"{path} holds an array {values.shape} of {values.dtype}, and a mask is a matrix of 0 and 1")
    peak = values.max()
    if not np.isin(values, (0, peak)).all() or peak <= 0:
        raise ConfigError(f"{path} holds values between zero and its largest; a mask is a matrix of 0 and 1")
    mask = torch.from_numpy(np.ascontiguousarray(values > 0)).float()
    shifted = torch.fft.fftshift(mask)
    return (shifted, True) if _low(shifted) > _low(mask) else (mask, False)


def _low(mask: Tensor) -> float:
    """The share of the samples in the middle that is measured."""
    height, width = mask.shape
    rows, columns = max(1, height // 16), max(1, width // 16)
    middle = mask[height // 2 - rows : height // 2 + rows + 1, width // 2 - columns : width // 2 + columns + 1]
    return float(middle.mean())


def _require_rate(rate: float) -> None:
    if not 0 < rate <= 1:
        raise ConfigError(f"rate={rate:g} is no share of the samples; give a number above 0, at most 1")
