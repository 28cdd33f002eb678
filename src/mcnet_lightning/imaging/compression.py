"""What JPEG took from a picture's brightness, told by the file alone: its quantisation table and what it kept.

A coefficient of the 8 x 8 cosine transform that is kept is off by as much as a uniform error within its step, q^2 / 12.
One that was rounded to 0 is off by itself, which is less where the table is coarse: its size is taken from the share of
zeros at its frequency, for a Laplace distribution, as such coefficients have (Lam and Goodman, 2000).
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image

BLOCK = 8
MOST_BLOCKS = 4096  # of a picture, evenly spread; more would tell the same
FEW = 0.05  # zeros: a distribution as flat as that is uniform within a step
CENTRE = 128  # grey level that JPEG counts from


def jpeg_noise(picture: Image.Image) -> float:
    """Standard deviation of the error of luma, for values in [0, 1]; 0 for what is no JPEG file fresh from the disk."""
    tables, layers = getattr(picture, "quantization", None), getattr(picture, "layer", None)
    table = (tables or {}).get(layers[0][3] if layers else 0)
    if not table or len(table) != BLOCK**2 or min(picture.size) < BLOCK:
        return 0.0
    step = np.asarray(table, dtype=np.float64)  # row by row: Pillow undoes the zigzag
    coefficients = _coefficients(np.asarray(picture.convert("L"), dtype=np.float64) - CENTRE)
    zeros = (np.abs(coefficients) < step / 2).mean(axis=0)
    return float(np.sqrt(_error(step, zeros, len(coefficients)).mean())) / 255


def is_jpeg(path: Path) -> bool:
    """By its first bytes; False for what cannot be opened, or is no file."""
    if not os.path.isfile(path):
        return False
    try:
        with path.open("rb") as file:
            return file.read(3) == b"\xff\xd8\xff"
    except OSError:
        return False


def _coefficients(luma: np.ndarray) -> np.ndarray:
    """(blocks, 64) of whole blocks, by the orthonormal cosine transform; an error keeps its energy in it."""
    rows, columns = (side // BLOCK for side in luma.shape)
    blocks = luma[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    blocks = blocks.reshape(-1, BLOCK, BLOCK)[:: -(-rows * columns // MOST_BLOCKS)]
    k = np.arange(BLOCK)
    basis = np.cos(np.pi * k[:, None] * (2 * k + 1) / (2 * BLOCK)) * np.where(k == 0, 1, np.sqrt(2))[:, None]
    basis /= np.sqrt(BLOCK)
    return (basis @ blocks @ basis.T).reshape(-1, BLOCK**2)


def _error(step: np.ndarray, zeros: np.ndarray, blocks: int) -> np.ndarray:
    """Mean squared error of every frequency, from its step and its share of zeros.

    A frequency of which nothing was kept has no wider spread than the narrowest of which something was.
    """
    half, uniform = step / 2, step**2 / 12
    known = (zeros > FEW) & (zeros < 1)
    spread = half / -np.log1p(-np.clip(zeros, FEW, 1 - 0.5 / blocks))  # of |coefficient|: `zeros` are below `half`
    spread = np.where(zeros < 1, spread, np.minimum(spread, spread[known].min(initial=np.inf)))
    small = 2 * spread**2 - np.exp(-half / spread) * (half**2 + 2 * half * spread + 2 * spread**2)
    return np.where(zeros > FEW, np.minimum(small, zeros * uniform), zeros * uniform) + (1 - zeros) * uniform
