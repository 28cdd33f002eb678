"""Pictures as the bytes of a file."""

import io
import struct
import zlib
from typing import Literal

import numpy as np
import tifffile
import torch
from PIL import Image

from mcnet_lightning.files import staged, write_file
from mcnet_lightning.restoration.pictures import Picture
from mcnet_lightning.restoration.rounding import round_plainly

Format = Literal["png8", "png16", "tiff"]
SUFFIX: dict[str, str] = {"png8": ".png", "png16": ".png", "tiff": ".tiff"}
DEPTH: dict[str, int] = {"png8": 8, "png16": 16, "tiff": 32}
__all__ = ["DEPTH", "SUFFIX", "Format", "encode", "staged", "write_file"]

PNG_COLOUR_TYPE = {1: 0, 3: 2, 4: 6}  # by the number of channels


def encode(picture: Picture, format: Format) -> bytes:
    """The picture as a file: PNG clipped to [0, 1] and rounded to the nearest level, TIFF as float32, unclipped.

    Gray with alpha becomes RGBA at 16 bit: few programs read anything else.
    """
    colour = picture.colour
    if format == "png16" and picture.alpha is not None:
        colour = colour.expand(3, -1, -1)
    channels = colour if picture.alpha is None else torch.cat([colour, picture.alpha])
    if format == "tiff":
        return _tiff(channels.permute(1, 2, 0).float().numpy(), picture.icc)
    levels = round_plainly(channels, 2 ** DEPTH[format] - 1).permute(1, 2, 0).numpy()
    if format == "png16":
        return _png16(levels.astype(np.uint16), picture.icc)
    samples = levels.astype(np.uint8)
    target = io.BytesIO()
    image = Image.fromarray(samples[..., 0] if samples.shape[-1] == 1 else samples)
    image.save(target, "PNG", icc_profile=picture.icc)
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


def _png16(samples: np.ndarray, icc: bytes | None) -> bytes:
    """16-bit PNG (H, W, 1, 3 or 4), which Pillow writes for gray alone; rows as differences to the one above."""
    height, width, channels = samples.shape
    rows = np.ascontiguousarray(samples, dtype=">u2").view(np.uint8).reshape(height, -1)
    filtered = np.full((height, rows.shape[1] + 1), 2, dtype=np.uint8)  # filter type 2: Up
    filtered[0, 1:] = rows[0]
    filtered[1:, 1:] = rows[1:] - rows[:-1]
    header = struct.pack(">IIBBBBB", width, height, 16, PNG_COLOUR_TYPE[channels], 0, 0, 0)
    profile = [] if icc is None else [_chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc))]
    pixels = _chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6))
    return b"".join([b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header), *profile, pixels, _chunk(b"IEND", b"")])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
