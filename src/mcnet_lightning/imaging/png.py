"""PNG of every depth: 16-bit colour and alpha as they are, the transparent colour, and what says how they look."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from kornia_rs.io import decode_image_png_u16
from PIL import Image

from mcnet_lightning.imaging.picture import Samples, check_size
from mcnet_lightning.imaging.pillow_images import check_frames, image_samples, orientation_of, with_key

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP")
RGB, GRAY_ALPHA, RGBA = 2, 4, 6  # colour types
SIXTEEN_BIT = 65535
LOWER_CASE = 0x20


def read_png(path: Path, max_megapixels: float) -> Samples:
    content = path.read_bytes()
    chunks = list(_chunks(content))
    width, height, depth, kind = struct.unpack(">IIBB", dict(chunks)[b"IHDR"][:10])
    check_size(str(path), width, height, max_megapixels)
    said = tuple(chunk for chunk in chunks if chunk[0] in COLOUR_CHUNKS)
    Image.MAX_IMAGE_PIXELS = None  # the limit is ours
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        check_frames(str(path), picture)
        if depth != 16 or kind not in (RGB, GRAY_ALPHA, RGBA):
            return replace(image_samples(picture, str(path)), png_colour=said)
        icc, orientation = picture.info.get("icc_profile"), orientation_of(picture)
    array = _gray_with_alpha(chunks) if kind == GRAY_ALPHA else _deep_colour(chunks, (height, width), kind)
    return Samples(array, SIXTEEN_BIT, 16, orientation=orientation, icc=icc, png_colour=said)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk as it stands in a file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of every chunk whose checksum is right; the others must be of no importance."""
    position = len(SIGNATURE)
    while position + 8 <= len(content):
        size, kind = struct.unpack(">I4s", content[position : position + 8])
        end = position + 8 + size
        if content[end : end + 4] == struct.pack(">I", zlib.crc32(content[position + 4 : end])):
            yield kind, content[position + 8 : end]
        elif not kind[0] & LOWER_CASE:  # which marks what a reader can do without
            raise ValueError("it is truncated or damaged")
        position = end + 4


def _deep_colour(chunks: list[tuple[bytes, bytes]], size: tuple[int, int], kind: int) -> np.ndarray:
    """RGB or RGBA of 16 bit, (H, W, 3 or 4)."""
    plain = _rewritten([entry for entry in chunks if entry[0] != b"tRNS"])  # which the decoder would apply, at 8 bit
    array = np.asarray(decode_image_png_u16(plain, size, "rgb" if kind == RGB else "rgba"))
    key = dict(chunks).get(b"tRNS") if kind == RGB else None
    return with_key(array, None if key is None else struct.unpack(">HHH", key[:6]))


def _gray_with_alpha(chunks: list[tuple[bytes, bytes]]) -> np.ndarray:
    """Gray and alpha of 16 bit, (H, W, 2), which nobody decodes: called RGBA of 8 bit, four bytes a pixel as well."""
    header = dict(chunks)[b"IHDR"]
    renamed = (b"IHDR", header[:8] + bytes([8, RGBA]) + header[10:])
    with Image.open(io.BytesIO(_rewritten([renamed, *chunks[1:]])), formats=["PNG"]) as picture:
        return np.ascontiguousarray(np.asarray(picture)).view(">u2")


def _rewritten(chunks: list[tuple[bytes, bytes]]) -> bytes:
    kept = (entry for entry in chunks if entry[0] in (b"IHDR", b"tRNS", b"IDAT", b"IEND"))
    return SIGNATURE + b"".join(chunk(*entry) for entry in kept)
