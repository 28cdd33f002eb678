"""A user's own pictures: colour, alpha, depth and ICC profile from any of the usual files, or one clear sentence."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from kornia_rs.io import read_image_png_u16
from PIL import Image
from torch import Tensor

from mcnet_lightning.errors import DataError

MAX_MEGAPIXELS = 200.0
MAX_SIDE = 16384  # pixels; beyond, the eigenbasis of one axis takes minutes and gigabytes
DEPTH_OF_TYPE = {"uint8": 8, "uint16": 16, "float32": 32, "float64": 32}
SIXTEEN_BIT_PNG = {"RGB;16B": "rgb", "RGBA;16B": "rgba"}  # what Pillow would cut to 8 bit
FLOAT_RANGE = (-1.0, 2.0)  # of a picture in [0, 1] with overshoot
ORIENTATION = 0x0112
FLIPPED = {2: (-1,), 3: (-2, -1), 4: (-2,), 5: (), 6: (-1,), 7: (-2, -1), 8: (-2,)}


@dataclass(frozen=True)
class Picture:
    """colour (C, H, W), C = 1 or 3, alpha (1, H, W) if any; float64, [0, 1]. depth: bits per sample, 32 is float."""

    colour: Tensor
    alpha: Tensor | None = None
    depth: int = 8
    icc: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.colour.shape[-2], self.colour.shape[-1]


def read_picture(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> Picture:
    """Reads PNG, JPEG, TIFF, BMP, WebP and whatever else Pillow opens; turned upright as EXIF says.

    Palettes are resolved, 16-bit samples keep their depth, float TIFFs must hold finite values around [0, 1].
    Raises DataError, in one sentence, for anything else: no picture, damaged, animated, CMYK, too large.
    """
    path = Path(path)
    _check_file(path)
    try:
        with _without_remarks():
            samples, icc, orientation = _read(path, max_megapixels)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders fail in every way there is
        reason = " ".join(str(error).replace(str(path), path.name).split())[:100] or type(error).__name__
        raise DataError(f"{path} cannot be read as an image ({reason}); remove or replace it") from None
    return _picture(path, _upright(samples, orientation), icc)


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Silences what Pillow and tifffile say of damaged metadata: our one sentence is enough."""
    logger = logging.getLogger("tifffile")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _check_file(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise DataError(f"{path} is a link that leads nowhere; remove it or restore what it points to")
    if not path.exists():
        raise DataError(f"there is no image {path}; check the path")
    if not path.is_file():
        raise DataError(f"{path} is no regular file; give a picture")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; remove or replace it")


def _read(path: Path, max_megapixels: float) -> tuple[np.ndarray, bytes | None, int]:
    """Samples (H, W) or (H, W, 1..4) as stored, ICC profile, EXIF orientation."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] in (b"II", b"MM") and (deep := _read_deep_tiff(path, max_megapixels)) is not None:
        return deep
    Image.MAX_IMAGE_PIXELS = None  # the limit is ours, and is checked before a pixel is decoded
    with Image.open(path) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            raise DataError(f"{path} has {frames} frames; save the one you want as a picture of its own")
        _check_size(path, *picture.size, max_megapixels)
        layout = picture.tile[0].args if picture.format == "PNG" and picture.tile else None  # gone once it is loaded
        samples = _samples(path, picture)
        if layout in SIXTEEN_BIT_PNG:
            samples = np.asarray(read_image_png_u16(str(path), SIXTEEN_BIT_PNG[layout]))
        elif layout == "LA;16B":
            raise DataError(f"{path} is gray with alpha at 16 bit, which is not supported; save it as RGBA")
        return samples, picture.info.get("icc_profile"), picture.getexif().get(ORIENTATION, 1)


def _samples(path: Path, picture: Image.Image) -> np.ndarray:
    picture.load()
    if picture.mode in ("CMYK", "LAB", "HSV"):
        raise DataError(f"{path} holds {picture.mode} colours; convert it to RGB with your own profile first")
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)
    if picture.mode in ("I", "F"):
        raise DataError(f"{path} holds 32-bit pixels, whose range is unknown; save it with 8 or 16 bit")
    transparent = "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    gray = picture.mode in ("1", "L", "LA", "La")
    mode = ("LA" if transparent else "L") if gray else ("RGBA" if transparent else "RGB")
    return np.asarray(picture.convert(mode))


def _read_deep_tiff(path: Path, max_megapixels: float) -> tuple[np.ndarray, bytes | None, int] | None:
    """A TIFF of 16-bit or float samples, or None if Pillow can read it without loss."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        if str(page.dtype) not in ("uint16", "float32", "float64"):
            return None
        if len(tiff.pages) > 1:
            raise DataError(f"{path} has {len(tiff.pages)} pages; save the one you want as a picture of its own")
        _check_size(path, page.imagewidth, page.imagelength, max_megapixels)
        samples = page.asarray()
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and samples.ndim == 3:
            samples = np.moveaxis(samples, 0, -1)
        if page.photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
            raise DataError(f"{path} is a TIFF of photometric kind {page.photometric}; save it as gray or RGB")
        orientation = page.tags.valueof("Orientation", 1)
        return samples, page.tags.valueof("InterColorProfile"), int(orientation)


def _check_size(path: Path, width: int, height: int, max_megapixels: float) -> None:
    if width * height > max_megapixels * 1e6:
        raise DataError(
            f"{path} has {width} x {height} pixels, more than {max_megapixels:g} million; "
            "cut or shrink it, or raise max_megapixels"
        )
    if max(width, height) > MAX_SIDE:
        raise DataError(f"{path} has {width} x {height} pixels; sides above {MAX_SIDE} are not supported, cut it")


def _upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Turns (H, W, ...) as the EXIF orientation 1..8 says."""
    if orientation not in FLIPPED:
        return samples
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    return np.flip(samples, tuple(axis + 2 for axis in FLIPPED[orientation]))


def _picture(path: Path, samples: np.ndarray, icc: bytes | None) -> Picture:
    depth = DEPTH_OF_TYPE.get(str(samples.dtype))
    if depth is None or samples.ndim not in (2, 3) or samples.size == 0:
        raise DataError(f"{path} holds samples of an unknown kind ({samples.dtype}); save it with 8 or 16 bit")
    samples = samples[..., None] if samples.ndim == 2 else samples
    if samples.shape[-1] > 4:
        raise DataError(f"{path} has {samples.shape[-1]} channels; save it as gray or RGB")
    peak = 1.0 if depth == 32 else 2.0**depth - 1
    values = torch.from_numpy(np.ascontiguousarray(samples.transpose(2, 0, 1)).astype(np.float64)) / peak
    if depth == 32 and not bool(((values >= FLOAT_RANGE[0]) & (values <= FLOAT_RANGE[1])).all()):
        raise DataError(f"{path} holds NaN, Inf or values far outside [0, 1]; rescale it")
    colours = len(values) - (len(values) % 2 == 0)
    return Picture(values[:colours], values[colours:] if len(values) > colours else None, depth, icc)
