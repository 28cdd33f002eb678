"""The bytes of one strip or tile of a TIFF, unpacked to samples; no codec beyond those inside Pillow's libtiff.

libtiff hands 16-bit colour and floats to Pillow cut or not at all. Compression works on bytes, though: every segment is
given to it as a gray picture of 8 bit, as wide as a row has bytes, and the bytes come back whole.
"""

import io
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

NONE = 1
COMPRESSIONS = {5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits", 34925: "LZMA", 50000: "Zstandard"}
LARGEST_RATIO = {34925: 50_000, 50000: 50_000}  # of what a segment can grow to, beyond which the file must be lying
USUAL_RATIO = 1500
HORIZONTAL, FLOATING = 2, 3  # predictors
STANDARD_ERROR = 2
_ONE_AT_A_TIME = threading.Lock()
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # for files that fill bytes from the lowest bit


@contextmanager
def without_remarks() -> Iterator[None]:
    """Silences libtiff, which writes what it dislikes straight to the standard error of the process."""
    with _ONE_AT_A_TIME:
        try:
            kept = os.dup(STANDARD_ERROR)
        except OSError:  # closed, as services do
            yield
            return
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), STANDARD_ERROR)
            yield
        finally:
            os.dup2(kept, STANDARD_ERROR)
            os.close(kept)


def decompressed(segment: bytes, compression: int, rows: int, row_bytes: int) -> np.ndarray:
    """(rows, row_bytes) uint8. Raises ValueError or OSError if the segment holds less."""
    if compression == NONE:
        if len(segment) < rows * row_bytes:
            raise ValueError("it is truncated")
        return np.frombuffer(segment, np.uint8, rows * row_bytes).reshape(rows, row_bytes)
    if rows * row_bytes > len(segment) * LARGEST_RATIO.get(compression, USUAL_RATIO):
        raise ValueError("it is truncated")
    with Image.open(io.BytesIO(_gray_tiff(segment, compression, rows, row_bytes)), formats=["TIFF"]) as picture:
        return np.asarray(picture)


def _gray_tiff(segment: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    """A little-endian TIFF of one strip: width, length, bits, compression, black is zero, place, rows, size."""
    tags = {256: row_bytes, 257: rows, 258: 8, 259: compression, 262: 1, 273: 0, 277: 1, 278: rows, 279: len(segment)}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + segment


def unpacked(rows: np.ndarray, bits: int, dtype: np.dtype, width: int, samples: int, predictor: int) -> np.ndarray:
    """(rows, width, samples) from bytes: of `dtype`, in the file's byte order, or packed."""
    if dtype.itemsize * 8 != bits:
        return _packed(rows, bits, width * samples).reshape(len(rows), width, samples)
    if predictor == FLOATING:
        return _floating(rows, dtype, width, samples)
    values = np.ascontiguousarray(rows).view(dtype).reshape(len(rows), width, samples)
    if predictor == HORIZONTAL:
        native = dtype.newbyteorder("=")
        integer = np.dtype(f"u{dtype.itemsize}")  # differences wrap around, of floats in their bits
        return np.cumsum(values.astype(native).view(integer), axis=1, dtype=integer).view(native)
    return values


def _packed(rows: np.ndarray, bits: int, count: int) -> np.ndarray:
    """`count` samples of 1 to 15 bits a row, the highest bit first."""
    places = np.unpackbits(rows, axis=1)[:, : count * bits].reshape(len(rows), count, bits)
    values = np.zeros((len(rows), count), np.uint16)
    for place in range(bits):
        values = (values << 1 | places[..., place]).astype(np.uint16)
    return values


def _floating(rows: np.ndarray, dtype: np.dtype, width: int, samples: int) -> np.ndarray:
    """Of TIFF's predictor 3: differences of bytes, all highest bytes of a row first."""
    chained = rows.reshape(len(rows), -1, samples)
    planes = np.cumsum(chained, axis=1, dtype=np.uint8).reshape(len(rows), dtype.itemsize, width * samples)
    values = np.ascontiguousarray(planes.swapaxes(1, 2)).view(dtype.newbyteorder(">"))
    return values.reshape(len(rows), width, samples)
