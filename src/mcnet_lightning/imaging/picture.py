"""A picture in memory, and the one way from the samples that a file or an object holds to its values in [0, 1]."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.errors import DataError

MAX_MEGAPIXELS = 200.0
MAX_SIDE = 16384  # pixels; beyond, the eigenbasis of one axis takes minutes and gigabytes
MAX_CHANNELS = 4
FLOAT_RANGE = (-1.0, 2.0)  # of a picture in [0, 1] with overshoot
FLOAT_DEPTH = 32
FLIPPED = {2: (-1,), 3: (-2, -1), 4: (-2,), 5: (), 6: (-1,), 7: (-2, -1), 8: (-2,)}
PROFILE_SPACE = {1: b"GRAY", 3: b"RGB "}  # bytes 16 to 19 of an ICC profile, by the number of colour channels

Chunks = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Picture:
    """colour (C, H, W), C = 1 or 3, alpha (1, H, W) if any; float64, [0, 1]. depth: 8 or 16 bits, 32 is float.

    icc and png_colour (gAMA, cHRM, sRGB, cICP, each with its content) say how the values look; nothing applies them.
    jpeg_noise: standard deviation of what JPEG took from luma, for values in [0, 1], as its file tells.
    """

    colour: Tensor
    alpha: Tensor | None = None
    depth: int = 8
    icc: bytes | None = None
    png_colour: Chunks = ()
    jpeg_noise: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.colour.shape[-2], self.colour.shape[-1]


@dataclass(frozen=True)
class Samples:
    """array (H, W) or (H, W, C) as it was stored, C = 1 or 3 colours and perhaps alpha; `white` is the value of 1.

    premultiplied: colour was stored times alpha. orientation: of EXIF, 1 to 8.
    """

    array: np.ndarray
    white: float
    depth: int
    premultiplied: bool = False
    orientation: int = 1
    icc: bytes | None = None
    png_colour: Chunks = ()
    jpeg_noise: float = 0.0


def picture_of(samples: Samples, name: str) -> Picture:
    """array / white, upright, with alpha apart. Raises DataError, which calls the picture `name`, for what is none."""
    array = upright(samples.array, samples.orientation)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.size == 0:
        raise DataError(f"{name} holds no pixels that can be understood; save it as gray or RGB")
    check_channels(name, array.shape[-1])
    values = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)).astype(np.float64)) / samples.white
    if samples.depth == FLOAT_DEPTH and not bool(((values >= FLOAT_RANGE[0]) & (values <= FLOAT_RANGE[1])).all()):
        raise DataError(f"{name} holds NaN, Inf or values far outside [0, 1]; rescale it")
    colours = len(values) - (len(values) % 2 == 0)
    colour, alpha = values[:colours], values[colours:] if len(values) > colours else None
    if samples.premultiplied and alpha is not None:
        colour = torch.where(alpha > 0, colour / alpha, torch.zeros_like(colour))
        colour = colour if samples.depth == FLOAT_DEPTH else colour.clamp(max=1)
    return Picture(colour, alpha, samples.depth, samples.icc, samples.png_colour, samples.jpeg_noise)


def check_size(name: str, width: int, height: int, max_megapixels: float) -> None:
    """Raises DataError for pictures that are too large; called before anything is decoded."""
    if width * height > max_megapixels * 1e6:
        raise DataError(
            f"{name} has {width} x {height} pixels, more than {max_megapixels:g} million; "
            "cut or shrink it, or raise max_megapixels"
        )
    if max(width, height) > MAX_SIDE:
        raise DataError(f"{name} has {width} x {height} pixels; sides above {MAX_SIDE} are not supported, cut it")


def check_channels(name: str, channels: int) -> None:
    if channels > MAX_CHANNELS:
        raise DataError(f"{name} has {channels} channels; save it as gray or RGB")


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turns (H, W, ...) as the EXIF orientation 1..8 says."""
    if orientation not in FLIPPED:
        return array
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    return np.flip(array, tuple(axis + 2 for axis in FLIPPED[orientation]))


def profile_for(channels: int, *profiles: bytes | None) -> bytes | None:
    """The first ICC profile that describes this number of colour channels: a gray one never goes with RGB."""
    space = PROFILE_SPACE[channels]
    return next((profile for profile in profiles if profile is not None and profile[16:20] == space), None)
