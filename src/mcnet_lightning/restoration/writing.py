"""Pictures as the bytes of a file."""

import io
import struct
import zlib
from typing import Literal

import numpy as np
import tifffile
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mcnet_lightning.imaging.picture import Picture, profile_for
from mcnet_lightning.imaging.png import SIGNATURE, chunk
from mcnet_lightning.restoration.rounding import round_plainly

Format = Literal["png8", "png16", "tiff"]
SUFFIX: dict[str, str] = {"png8": ".png", "png16": ".png", "tiff": ".tiff"}
DEPTH: dict[str, int] = {"png8": 8, "png16": 16, "tiff": 32}
PNG_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of channels


def encode(picture: Picture, format: Format) -> bytes:
    """The picture as a file: PNG clipped to [0, 1] and rounded to the nearest level, TIFF as float32, unclipped.

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
    for kind, content in said:
        chunks.add(kind, content)
    image = Image.fromarray(samples[..., 0] if samples.shape[-1] == 1 else samples)
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
