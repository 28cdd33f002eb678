"""MATLAB's files of level 5, looked through before SciPy reads them: it follows a damaged one out of its own memory.

SciPy reads one element after the other and takes each for what the array's class calls for; here every array is held
to have exactly these, so that both see the same file.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
NUMBERS = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13)
LETTERS = (16, 17, 18)
CELL, TEXT, SPARSE, NUMERIC = 1, 4, 5, range(6, 16)
SIZES = range(8, 129, 4)  # bytes of them: of two dimensions to 32
HEADER = 128  # bytes before the first array
LARGEST = 2**31  # bytes that an array may have


def load_matlab(path: Path) -> dict[str, Any]:
    """Arrays of numbers and cells of them, by name; what else the file holds is left out.

    Raises ValueError, or what SciPy raises, for a file that is damaged.
    """
    io = import_module("scipy.io")
    names = _names(memoryview(path.read_bytes())) if io.matlab.matfile_version(path)[0] == 1 else None
    content: dict[str, Any] = io.loadmat(path, variable_names=names)
    return {name: value for name, value in content.items() if not name.startswith("__")}


def _names(content: memoryview) -> list[str]:
    order = "<" if bytes(content[126:128]) == b"IM" else ">"
    found = []
    for kind, data in _elements(content[HEADER:], order):
        if kind == COMPRESSED:
            unpacked = zlib.decompressobj().decompress(data, LARGEST)
            ((kind, data),) = _elements(memoryview(unpacked), order)
        if kind != MATRIX:
            raise ValueError(f"an element of type {kind} stands where an array was to be")
        name, is_array = _matrix(data, order)
        found += [name] * is_array
    return found


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    place = 0
    while place < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        if kind >> 16:  # up to four bytes in the tag itself
            kind, size, start, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        else:
            start = place + 8
            end = start + size + (0 if kind in (MATRIX, COMPRESSED) else -size % 8)
        if kind not in (*NUMBERS, *LETTERS, MATRIX, COMPRESSED) or start + size > min(end, len(content)):
            raise ValueError(f"an element of type {kind} and {size} bytes cannot be")
        yield kind, content[start : start + size]
        place = end


def _matrix(content: memoryview, order: str) -> tuple[str, bool]:
    """Its name, and whether it is an array or a cell of arrays."""
    if not content:
        return "", True  # MATLAB's way of an empty cell
    (flags_kind, flags), (sizes_kind, sizes), *rest = _elements(content, order)
    if (flags_kind, len(flags), sizes_kind) != (UINT32, 8, INT32) or len(sizes) not in SIZES:
        raise ValueError("an array without class or size")
    (flag,) = struct.unpack_from(f"{order}I", flags)
    of_class, parts = flag & 0xFF, 1 + bool(flag & 0x800)
    if of_class not in (CELL, TEXT, SPARSE, *NUMERIC):
        return "", False  # structures and objects, of which SciPy reads the head alone
    (name_kind, name), *values = rest
    wanted: tuple[int, ...] = NUMBERS
    if of_class == CELL:
        wanted, parts = (MATRIX,), math.prod(struct.unpack(f"{order}{len(sizes) // 4}i", sizes))
        inner = [_matrix(data, order)[1] for kind, data in values if kind == MATRIX]
        if not all(inner):
            return "", False
    elif of_class == TEXT:
        wanted, parts = (*NUMBERS, *LETTERS), 1
    elif of_class == SPARSE:
        parts += 2
    if name_kind != INT8 or len(values) != parts or any(kind not in wanted for kind, _ in values):
        raise ValueError("an array that does not hold what its class calls for")
    return bytes(name).decode("latin1"), True
