"""Small files of every kind, made byte by byte, so that what is in them is known without any decoder."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tifffile

LZW = 5


def tiff(samples: np.ndarray, **options: Any) -> bytes:
    target = io.BytesIO()
    tifffile.imwrite(target, samples, metadata=None, **options)
    return target.getvalue()


def raw_tiff(segment: bytes, width: int, height: int, bits: Sequence[int] = (8,), **tags: int) -> bytes:
    """A little-endian TIFF of one strip. tags: `t259=5` sets tag 259."""
    values = {256: width, 257: height, 258: 0, 259: 1, 262: 1, 273: 0, 277: len(bits), 278: height, 279: len(segment)}
    values |= {int(name[1:]): value for name, value in tags.items()}
    start = 8 + 2 + 12 * len(values) + 4
    depths = struct.pack(f"<{len(bits)}H", *bits)
    values[273] = start + len(depths)
    entries = b""
    for tag, value in sorted(values.items()):
        if tag == 258:
            inline = depths.ljust(4, b"\0") if len(bits) <= 2 else struct.pack("<I", start)
            entries += struct.pack("<HHI", tag, 3, len(bits)) + inline
        else:
            entries += struct.pack("<HHII", tag, 4, 1, value)
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4) + depths + segment


def packed(levels: np.ndarray, bits: int) -> bytes:
    """Rows of levels (H, N), the highest bit first, each row filled up to whole bytes."""
    places = levels[..., None].astype(np.uint16) >> np.arange(bits - 1, -1, -1) & 1
    return np.packbits(places.reshape(len(levels), -1).astype(np.uint8), axis=1).tobytes()


def lzw(content: bytes) -> bytes:
    """Valid LZW that never looks anything up: every byte as itself in 9 bits, the table cleared before it grows."""
    codes = []
    for index, byte in enumerate(content):
        codes += [256] if index % 250 == 0 else []
        codes.append(byte)
    codes.append(257)
    bits = np.array(codes)[:, None] >> np.arange(8, -1, -1) & 1
    return np.packbits(bits.astype(np.uint8).reshape(-1)).tobytes()


def differences(samples: np.ndarray) -> np.ndarray:
    """What predictor 2 stores of (H, W, C): each pixel minus the one before it."""
    stored = samples.copy()
    stored[:, 1:] -= samples[:, :-1]
    return stored


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(levels: np.ndarray, bits: int, colour_type: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Levels (H, W) or (H, W, C) as they are."""
    height, width = levels.shape[:2]
    rows = levels.reshape(height, -1)
    lines = packed(rows, bits) if bits < 8 else rows.astype(f">u{bits // 8}").tobytes()
    size = len(lines) // height
    filtered = b"".join(b"\0" + lines[start : start + size] for start in range(0, len(lines), size))
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(filtered)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def directories(count: int) -> bytes:
    """A TIFF that chains so many previews of one pixel."""
    content = bytearray(b"II*\0" + struct.pack("<I", 8))
    tags = ((254, 1), (256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1))
    for number in range(count):
        after = len(content) + 2 + 12 * len(tags) + 4
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        content += struct.pack("<H", len(tags)) + entries + struct.pack("<I", after if number < count - 1 else 0)
    return bytes(content)
