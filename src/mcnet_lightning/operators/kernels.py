"""Interpolation kernels of one axis, by name."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError

KernelName = Literal["bicubic", "bilinear", "lanczos", "box", "gaussian"]
RADII = {"bicubic": 2.0, "bilinear": 1.0, "lanczos": 3.0, "box": 0.5}
GAUSSIAN_REACH = 4.0  # standard deviations, beyond which a Gaussian is cut off


@dataclass(frozen=True)
class Kernel:
    """A symmetric kernel k(x), zero outside [-radius, radius].

    When an image shrinks, an antialiased kernel is stretched by the ratio of the sizes, x counting output pixels;
    otherwise x counts input pixels. A Gaussian is never stretched: `width` is its standard deviation in input pixels,
    `reach`, if given, how many of them it reaches to either side.
    """

    kind: KernelName
    width: float = 0.0
    antialiased: bool = True
    reach: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(KernelName):
            raise ConfigError(f"kernel {self.kind!r} is unknown; use one of {', '.join(get_args(KernelName))}")
        if self.kind == "gaussian" and not (math.isfinite(self.width) and self.width > 0):
            raise ConfigError(f"width={self.width} is no standard deviation; give a number above 0")

    @property
    def name(self) -> str:
        if self.kind == "gaussian":
            return f"gaussian{self.width:g}" + ("" if self.reach is None else f"-{2 * self.reach + 1}taps")
        return self.kind if self.antialiased else f"{self.kind}-aliased"

    @property
    def radius(self) -> float:
        if self.kind == "gaussian":
            return GAUSSIAN_REACH * self.width if self.reach is None else float(self.reach)
        return RADII[self.kind]

    def stretch(self, ratio: float) -> float:
        """How much wider the kernel gets at `ratio` input pixels per output pixel."""
        return 1.0 if self.kind == "gaussian" or not self.antialiased else max(ratio, 1.0)

    def __call__(self, x: Tensor) -> Tensor:
        """Values at x, not normalised."""
        if self.kind == "bicubic":
            return keys_kernel(x)
        if self.kind == "gaussian":
            return torch.exp(-((x / self.width) ** 2) / 2) * (x.abs() <= self.radius)
        if self.kind == "box":
            return ((x >= -0.5) & (x < 0.5)).to(x)
        if self.kind == "bilinear":
            return (1 - x.abs()).clamp_min(0)
        return torch.sinc(x) * torch.sinc(x / 3) * (x.abs() < 3)


BICUBIC = Kernel("bicubic")


def keys_kernel(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5 (Keys 1981), support [-2, 2]."""
    x = x.abs()
    inner = (1.5 * x - 2.5) * x**2 + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, inner, torch.where(x <= 2, outer, 0.0))
