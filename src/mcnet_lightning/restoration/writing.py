"""Pictures as the bytes of a file."""

import contextlib
import io
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging.picture import Picture, profile_for
from mcnet_lightning.imaging.png import SIGNATURE, chunk
from mcnet_lightning.restoration.rounding import round_plainly

Format = Literal["png8", "png16", "tiff", "jpeg", "webp"]
FORMATS: tuple[Format, ...] = ("png8", "png16", "tiff", "jpeg", "webp")
SUFFIX: dict[str, str] = {"png8": ".png", "png16": ".png", "tiff": ".tiff", "jpeg": ".jpg", "webp": ".webp"}
DEPTH: dict[str, int] = {"png8": 8, "png16": 16, "tiff": 32, "jpeg": 8, "webp": 8}
LOSSY = ("jpeg",)  # whose levels are not kept as they were chosen
JPEG_QUALITY = 95
WEBP_SIDE = 16383  # pixels, as the format has it
SAME: dict[str, Format] = {
    **dict.fromkeys((".jpg", ".jpeg", ".jfif"), "jpeg"),
    ".webp": "webp",
    **dict.fromkeys((".tif", ".tiff"), "tiff"),
}
DEPTH_OF_PNG = 24  # the byte that tells it
PNG_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of channels


def format_for(source: Path, format: str) -> Format:
    """The format itself; for `same` the one that the source's name and depth say, PNG where it is none of ours."""
    if format != "same":
        return FORMATS[FORMATS.index(format)]
    with contextlib.suppress(OSError), source.open("rb") as file:
        head = file.read(DEPTH_OF_PNG + 1)
        if head.startswith(SIGNATURE) and head[DEPTH_OF_PNG:] == b"\x10":
            return "png16"
    return SAME.get(source.suffix.lower(), "png8")


def encode(picture: Picture, format: Format) -> bytes:
    """The picture as a file: clipped to [0, 1] and rounded to the nearest level, but for TIFF, which is float32 and
    unclipped. WebP is lossless. Raises DataError for what the format cannot hold.

    What says how its values look stays: an ICC profile that is one of as many channels, and in PNG gAMA, cHRM, sRGB.
    """
    channels = picture.colour if picture.alpha is None else torch.cat([picture.colour, picture.alpha])
    icc = profile_for(len(picture.colour), picture.icc)
    if format == "tiff":
        return _tiff(channels.permute(1, 2, 0).float().numpy(), icc)
    levels = round_plainly(channels, 2 ** DEPTH[format] - 1).permute(1, 2, 0).numpy()
    said = [entry for entry in picture.png_colour if icc is None or entry[0] != b"sRGB"]  # PNG allows one of the two
    if format == "png16":
        return _png16(levels.astype(np.uint16), said, icc)
    samples, chunks, target = levels.astype(np.uint8), PngInfo(), io.BytesIO()
    image = Image.fromarray(samples[..., 0] if samples.shape[-1] == 1 else samples)
    if format == "jpeg":
        if picture.alpha is not None:
            raise DataError("the picture has transparency, which JPEG cannot hold; take format=png8 or webp")
        image.save(target, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=icc)
        return target.getvalue()
    if format == "webp":
        if max(image.size) > WEBP_SIDE:
            raise DataError(f"a side of {max(image.size)} pixels is more than WebP holds; take format=png8")
        image.save(target, "WEBP", lossless=True, exact=True, icc_profile=icc)
        return target.getvalue()
    for kind, content in said:
        chunks.add(kind, content)
    image.save(target, "PNG", icc_profile=icc, pnginfo=chunks)
    return target.getvalue()


def _tiff(samples: np.ndarray, icc: bytes | None) -> bytes:
    target = io.BytesIO()
    channels = samples.shape[-1]
    tifffile.imwrite(
        target,
        samples[..., 0] if channels == 1 else samples,
        photometric="rgb" if channels >= 3 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        planarconfig="contig" if channels > 1 else None,
        iccprofile=icc,
        metadata=None,
    )
    return target.getvalue()


def _png16(samples: np.ndarray, said: list[tuple[bytes, bytes]], icc: bytes | None) -> bytes:
    """16-bit PNG (H, W, 1 to 4), which Pillow writes for gray alone; rows as differences to the one above."""
    height, width, channels = samples.shape
    rows = np.ascontiguousarray(samples, dtype=">u2").view(np.uint8).reshape(height, -1)
    filtered = np.full((height, rows.shape[1] + 1), 2, dtype=np.uint8)  # filter type 2: Up
    filtered[0, 1:] = rows[0]
    filtered[1:, 1:] = rows[1:] - rows[:-1]
    header = struct.pack(">IIBBBBB", width, height, 16, PNG_COLOUR_TYPE[channels], 0, 0, 0)
    profile = [] if icc is None else [(b"iCCP", b"icc\0\0" + zlib.compress(icc))]
    pixels = (b"IDAT", zlib.compress(filtered.tobytes(), 6))
    return SIGNATURE + b"".join(chunk(*entry) for entry in [(b"IHDR", header), *profile, *said, pixels, (b"IEND", b"")])
