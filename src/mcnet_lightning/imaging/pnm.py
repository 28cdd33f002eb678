"""PBM, PGM and PPM, plain and raw, 8 and 16 bit: Pillow would cut the colours of 16 bit to 8, and stretch the gray."""

import re
from pathlib import Path

import numpy as np

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging.picture import Samples, check_size

KINDS = {b"P1": 1, b"P2": 1, b"P3": 3, b"P4": 1, b"P5": 1, b"P6": 3}  # channels
BITMAPS, PLAIN = (b"P1", b"P4"), (b"P1", b"P2", b"P3")
TOKEN = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*([^\s#]+)")
LARGEST = 65535


def is_pnm(start: bytes) -> bool:
    return start[:2] in KINDS and start[2:3] in (b" ", b"\t", b"\n", b"\r", b"#")


def read_pnm(path: Path, max_megapixels: float) -> Samples:
    """Samples / maxval, whatever maxval is; big-endian, two bytes each, where it is above 255."""
    content = path.read_bytes()
    magic = content[:2]
    position, numbers = 2, []
    for _ in range(2 if magic in BITMAPS else 3):
        token = TOKEN.match(content, position)
        if token is None:
            raise ValueError("its header ends early")
        numbers.append(int(token[1]))
        position = token.end()
    width, height, largest = *numbers, *[1] * (3 - len(numbers))
    if min(width, height) < 1 or not 1 <= largest <= LARGEST:
        raise ValueError("its header makes no sense")
    check_size(str(path), width, height, max_megapixels)
    shape = (height, width, KINDS[magic])
    array = _plain(content[position:], magic, shape) if magic in PLAIN else _raw(content, position + 1, largest, shape)
    if array.max() > largest:
        raise DataError(f"{path} holds samples above its own maximum of {largest}; write it again")
    if magic in BITMAPS:
        array = 1 - array  # 1 is black
    return Samples(array, float(largest), 8 if largest <= 255 else 16)


def _plain(text: bytes, magic: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    text = re.sub(rb"#[^\n\r]*", b"", text)
    words = re.findall(rb"[01]", text) if magic == b"P1" else text.split()  # P1 needs no space between its digits
    count = int(np.prod(shape))
    if len(words) < count:
        raise ValueError("it is truncated")
    values = np.array(words[:count], dtype=np.int64)
    if values.min() < 0 or values.max() > LARGEST:
        raise ValueError("its numbers are no samples")
    return values.astype(np.uint16).reshape(shape)


def _raw(content: bytes, start: int, largest: int, shape: tuple[int, int, int]) -> np.ndarray:
    height, width, channels = shape
    if content[:2] == b"P4":
        row = -(-width // 8)
        packed = np.frombuffer(content, np.uint8, height * row, start).reshape(height, row)
        return np.unpackbits(packed, axis=1)[:, :width, None]
    dtype = np.dtype(np.uint8 if largest <= 255 else ">u2")
    return np.frombuffer(content, dtype, height * width * channels, start).reshape(shape)
