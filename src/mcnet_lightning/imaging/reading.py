"""A user's own pictures: colour, alpha, depth and profile from any of the usual files, or one clear sentence.

The one reader of commands, data sets and pairs; `restore_image` takes the same way from objects in memory.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging.picture import MAX_MEGAPIXELS, Picture, Samples, picture_of
from mcnet_lightning.imaging.pillow_images import read_with_pillow
from mcnet_lightning.imaging.png import SIGNATURE, read_png
from mcnet_lightning.imaging.pnm import is_pnm, read_pnm
from mcnet_lightning.imaging.tiff import read_tiff

LONGEST_REASON = 100


def read_picture(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> Picture:
    """Reads PNG, JPEG, TIFF, BMP, WebP, GIF, PNM, JPEG 2000 and AVIF; turned upright as EXIF says.

    Every sample keeps its depth and counts as a share of the largest that the file can hold; palettes are resolved,
    colours that were multiplied by alpha are divided by it, float TIFFs must hold finite values around [0, 1]. Of a
    file with previews or a camera's second picture, the main picture is read.
    Raises DataError, in one sentence, for anything else: no picture, damaged, animated, CMYK, too large.
    """
    path = Path(path)
    check_file(path)
    try:
        with _without_remarks():
            return picture_of(_read(path, max_megapixels), str(path))
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders fail in every way there is
        reason = " ".join(str(error).replace(str(path), path.name).split())[:LONGEST_REASON] or type(error).__name__
        raise DataError(f"{path} cannot be read as an image ({reason}); remove or replace it") from None


def check_file(path: Path) -> None:
    """Raises DataError unless this is a file with something in it that we may read: pipes and devices would wait."""
    if path.is_symlink() and not path.exists():
        raise DataError(f"{path} is a link that leads nowhere; remove it or restore what it points to")
    if not path.exists():
        raise DataError(f"there is no image {path}; check the path")
    if not path.is_file():
        raise DataError(f"{path} is no regular file; give a picture")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} may not be read; change its permissions")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; remove or replace it")


def _read(path: Path, max_megapixels: float) -> Samples:
    with path.open("rb") as file:
        magic = file.read(len(SIGNATURE))
    if magic[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return read_tiff(path, max_megapixels)
    if magic == SIGNATURE:
        return read_png(path, max_megapixels)
    if is_pnm(magic):
        return read_pnm(path, max_megapixels)
    return read_with_pillow(path, max_megapixels)


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
