"""Which operator made this LR? Every candidate on the same pair, and the one that leaves least."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import get_args

import torch
from torch import Tensor

from mcnet_lightning.errors import DataError
from mcnet_lightning.operators import Kernel, KernelDownsample
from mcnet_lightning.operators.resize import Boundary
from mcnet_lightning.restoration.pictures import Picture

GAUSSIAN_WIDTHS = (0.6, 0.8, 1.0, 1.2, 1.6, 2.0, 2.6, 3.2)  # in HR pixels
SHORTLIST = 6  # candidates that are also tried with the rounding of known programs
WITHIN_ROUNDING = 0.75  # levels, root mean square: what rounding to 8 bit can leave (nearest 0.29, floor 0.58)
PLAUSIBLE = 45.0  # dB: a super-resolved picture's own residual under its operator; wrong operators leave more

Rounding = Callable[[Tensor, KernelDownsample], Tensor]


@dataclass(frozen=True)
class Candidate:
    """One operator, how its result was rounded, and what it leaves: root mean square in levels of 8 bit."""

    operator: KernelDownsample
    rounding: str
    residual: float

    @property
    def lr_psnr(self) -> float:
        return math.inf if self.residual == 0 else 20 * math.log10(255 / self.residual)


@dataclass(frozen=True)
class Verdict:
    """The best candidate, then the best of every other operator. fits: exactly, rounding, approximately or none."""

    candidates: tuple[Candidate, ...]
    fits: str

    @property
    def best(self) -> Candidate:
        return self.candidates[0]

    @property
    def sentence(self) -> str:
        best, operator = self.best, self.best.operator
        shown = f"{operator.name} ({PROGRAMS.get((operator.kernel.name, operator.boundary), operator.kernel.name)})"
        left = f"root mean square {best.residual:.3f} of 255 levels, LR-PSNR {best.lr_psnr:.1f} dB"
        return {
            "exactly": f"{shown} made this LR: with rounding {best.rounding!r} every pixel is reproduced",
            "rounding": f"{shown} fits to rounding: {left}",
            "approximately": f"{shown} fits best, as closely as a super-resolved image does, but not exactly: {left}",
            "none": f"none fits; the nearest is {shown}: {left}",
        }[self.fits]


PROGRAMS = {
    ("bicubic", "truncated"): "bicubic of torch and PIL",
    ("bicubic", "symmetric"): "bicubic of MATLAB",
    ("bicubic", "replicate"): "bicubic of older MATLAB",
    ("bicubic-aliased", "symmetric"): "bicubic without antialiasing",
    ("box", "truncated"): "mean of each block",
    ("lanczos", "truncated"): "Lanczos of PIL",
    ("bilinear", "truncated"): "antialiased bilinear of torch and PIL",
}


def candidates(scale: int) -> Iterator[KernelDownsample]:
    """The operators that are compared."""
    for boundary in get_args(Boundary):
        yield KernelDownsample(scale, Kernel("bicubic"), boundary)
    yield KernelDownsample(scale, Kernel("bicubic", antialiased=False), "symmetric")
    for kind in ("bilinear", "lanczos", "box"):
        yield KernelDownsample(scale, Kernel(kind), "truncated")
    for width in GAUSSIAN_WIDTHS:
        yield KernelDownsample(scale, Kernel("gaussian", width), "symmetric")


def guess_operator(image: Picture, measurement: Picture, scale: int | None = None) -> Verdict:
    """Compares every candidate, and those nearest also with the roundings of known programs.

    image: HR, or a super-resolved picture; up to scale - 1 rows and columns too many are cut off at the end.
    Raises DataError if the sizes are not in a ratio of 2, 3 or 4.
    """
    scale = scale or scale_of(image, measurement)
    image = fitted(image, measurement, scale)
    channels = max(len(image.colour), len(measurement.colour))
    x = image.colour.expand(channels, -1, -1)[None] * 255
    b = measurement.colour.expand(channels, -1, -1)[None] * 255
    plain = [Candidate(A, "none", _rms(A(x) - b)) for A in candidates(scale)]
    plain.sort(key=lambda candidate: candidate.residual)
    found = [_best_rounding(candidate, x, b) for candidate in plain[:SHORTLIST]] + plain[SHORTLIST:]
    found.sort(key=lambda candidate: candidate.residual)
    return Verdict(tuple(found), _fit(found[0]))


def scale_of(image: Picture, measurement: Picture) -> int:
    """The ratio of the sizes, but for a remainder. Raises DataError unless it is 2, 3 or 4 in both directions."""
    sizes = list(zip(image.size, measurement.size, strict=True))
    fitting = [scale for scale in (2, 3, 4) if all(abs(large - scale * small) < scale for large, small in sizes)]
    if not fitting:
        (height, width), (h, w) = image.size, measurement.size
        raise DataError(f"{width} x {height} is not 2, 3 or 4 times {w} x {h}; check the pair, or give scale=...")
    return fitting[0]


def fitted(image: Picture, measurement: Picture, scale: int) -> Picture:
    """The image cut at its right and lower end to `scale` times the measurement, as the literature cuts HR."""
    height, width = (scale * length for length in measurement.size)
    if any(not 0 <= have - want < scale for have, want in zip(image.size, (height, width), strict=True)):
        raise DataError(
            f"the image has {image.size[1]} x {image.size[0]} pixels, not {scale} times the measurement's "
            f"{measurement.size[1]} x {measurement.size[0]}; check the pair and the scale"
        )
    alpha = None if image.alpha is None else image.alpha[..., :height, :width]
    return replace(image, colour=image.colour[..., :height, :width], alpha=alpha)


def _nearest(levels: Tensor) -> Tensor:
    return torch.floor(levels.clamp(0, 255) + 0.5)


def _floor(x: Tensor, operator: KernelDownsample) -> Tensor:
    return torch.floor(operator(x).clamp(0, 255) + 1e-6)


def _rows_first(x: Tensor, operator: KernelDownsample) -> Tensor:
    vertical, horizontal = operator.axis_matrices((x.shape[-2], x.shape[-1]))
    return _nearest(_nearest(vertical @ x) @ horizontal.T)


def _columns_first(x: Tensor, operator: KernelDownsample) -> Tensor:
    vertical, horizontal = operator.axis_matrices((x.shape[-2], x.shape[-1]))
    return _nearest(vertical @ _nearest(x @ horizontal.T))


ROUNDINGS: dict[str, Rounding] = {
    "nearest": lambda x, operator: _nearest(operator(x)),
    "floor": _floor,
    "after each pass, rows first (MATLAB)": _rows_first,
    "after each pass, columns first (PIL)": _columns_first,
}


def _best_rounding(candidate: Candidate, x: Tensor, b: Tensor) -> Candidate:
    found = [candidate]
    for name, rounded in ROUNDINGS.items():
        found.append(Candidate(candidate.operator, name, _rms(rounded(x, candidate.operator) - b)))
    return min(found, key=lambda each: each.residual)


def _rms(error: Tensor) -> float:
    return float(error.square().mean().sqrt())


def _fit(best: Candidate) -> str:
    if best.residual < 1e-3:
        return "exactly"
    if best.residual <= WITHIN_ROUNDING:
        return "rounding"
    return "approximately" if best.lr_psnr >= PLAUSIBLE else "none"
