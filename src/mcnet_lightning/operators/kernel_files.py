"""Blur kernels of files: arrays, text or pictures, and MATLAB's cells of several, such as Levin et al.'s eight."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files.arrays import array_names, read_array


def read_kernel(path: str | Path, index: int | None = None) -> Tensor:
    """(k, k), odd and of sum 1, float64; `index`: which of several, from 0.

    A kernel of even size gets a row or column of zeros at its end. Raises DataError for a file that cannot be read,
    and ConfigError for one that holds no kernel, or several and no index.
    """
    if index is None:
        values = np.squeeze(read_array(path))
    else:
        names = list(array_names(path))
        if not 0 <= index < len(names):
            raise ConfigError(f"{path} holds {len(names)} kernels, counted from 0, and none has index {index}")
        values = np.squeeze(read_array(f"{path}:{names[index]}"))
    if values.ndim != 2 or np.iscomplexobj(values) or not np.isfinite(values).all() or values.sum() <= 0:
        raise ConfigError(f"{path} holds no blur kernel, a real matrix with a sum above 0, but an array {values.shape}")
    values = np.pad(values, [(0, 1 - size % 2) for size in values.shape])
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64)) / float(values.sum())
