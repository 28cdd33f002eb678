"""A backbone on an image of any size: in overlapping tiles, smaller ones when memory runs out."""

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from mcnet_lightning.backbones.frozen import FrozenBackbone
from mcnet_lightning.errors import MCNetError

SMALLEST_TILE = 32  # LR pixels
EXHAUSTED = ("can't allocate memory", "bad_alloc", "could not create a primitive")  # torch, C++, oneDNN


@dataclass(frozen=True)
class Tiling:
    """Sides of `size` LR pixels, each computed with `overlap` more on every side, which are then cut off.

    Exact for a network whose receptive field ends within `overlap`. Channel attention (RCAN) and global pooling see the
    whole tile: their tiles differ slightly from the whole image, and change with `size`.
    """

    size: int = 256
    overlap: int = 16


def tiled_picture(
    backbone: FrozenBackbone,
    backbone_input: Tensor,
    tiling: Tiling,
    on_tile: Callable[[int, int], None] | None = None,
) -> Tensor:
    """`backbone.picture` of (1, C, h, w), tile by tile, on the CPU. Halves the tiles for as long as memory runs out.

    on_tile(number, count) is called before each tile. Raises MCNetError when even the smallest tile does not fit.
    """
    factor = backbone.spec.scale if backbone.spec.input_kind == "upsampled" else 1
    size, overlap = tiling.size * factor, tiling.overlap * factor
    while True:
        try:
            return _assembled(backbone, backbone_input, size, overlap, on_tile or (lambda number, count: None))
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if size <= SMALLEST_TILE * factor:
                raise MCNetError(
                    f"{backbone.spec.name} does not fit into memory even in tiles of {size} pixels; "
                    "close other programs or take a smaller backbone"
                ) from None
        size = max(SMALLEST_TILE * factor, min(size, max(backbone_input.shape[-2:])) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python ran out of memory, on whatever device."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(said in text for said in EXHAUSTED)


@contextmanager
def plain_memory_errors() -> Iterator[None]:
    """Turns the RuntimeError of a library that ran out of memory into a MemoryError. What the work within has freed
    goes back to the system afterwards.
    """
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):
            raise MemoryError(str(error)) from error
        raise
    finally:
        return_freed_memory()


def return_freed_memory() -> None:
    """Gives freed memory back to the system (glibc): kept for the next image of the same size, as this package's
    processes do, it grows by a tenth of a gigabyte with every image of another size.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _assembled(
    backbone: FrozenBackbone, image: Tensor, size: int, overlap: int, on_tile: Callable[[int, int], None]
) -> Tensor:
    height, width = image.shape[-2:]
    if height <= size and width <= size:
        on_tile(1, 1)
        return backbone.picture(image).cpu()
    whole: Tensor | None = None
    tiles = list(product(_parts(height, size), _parts(width, size)))
    for number, ((top, bottom), (left, right)) in enumerate(tiles, 1):
        on_tile(number, len(tiles))
        first_row, first_column = max(top - overlap, 0), max(left - overlap, 0)
        made = backbone.picture(image[..., first_row : bottom + overlap, first_column : right + overlap])
        factor = made.shape[-2] // (min(bottom + overlap, height) - first_row)
        if whole is None:
            whole = torch.empty(*made.shape[:2], factor * height, factor * width, dtype=made.dtype)
        rows = slice(factor * (top - first_row), factor * (bottom - first_row))
        columns = slice(factor * (left - first_column), factor * (right - first_column))
        whole[..., factor * top : factor * bottom, factor * left : factor * right] = made[..., rows, columns].cpu()
    assert whole is not None
    return whole


def _parts(length: int, size: int) -> Iterator[tuple[int, int]]:
    """[0, length) in nearly equal parts of at most `size`."""
    count = -(-length // size)
    for index in range(count):
        yield length * index // count, length * (index + 1) // count
