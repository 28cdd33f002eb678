"""From arrays and pictures to images as a problem takes them, and the slices that people's files of scans hold.

Kinds (`Problem.images`): `picture` (3, H, W) in [0, 1]; `complex` (2, H, W), the peak of the magnitude 1; `hounsfield`
(1, H, W) in Hounsfield units.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcnet_lightning.errors import DataError
from mcnet_lightning.files.arrays import PICTURE_ENDINGS, READERS, array_names, ending, read_array
from mcnet_lightning.imaging import read_rgb, rgb_to_gray
from mcnet_lightning.operators.fourier import inverse_fourier
from mcnet_lightning.problems.base import ImageKind

Array = NDArray[Any]
AIR, FULL = -1000.0, 1000.0  # Hounsfield units that black and white of a picture stand for
LAST_AXIS = (".nii", ".nii.gz")  # of slices; elsewhere it is the first
KSPACE = "kspace"  # of fastMRI's files
OF_COILS = ("reconstruction_rss", "reconstruction_esc")


def image_of(values: Array, kind: ImageKind) -> Tensor:
    """(H, W), real or complex, as an image, float32. Raises DataError for numbers that the kind cannot mean."""
    if not np.isfinite(values).all():
        raise DataError("it holds NaN or Inf")
    if kind == "complex":
        image = torch.from_numpy(np.stack([values.real, values.imag]))
        return (image / np.abs(values).max().clip(np.finfo(np.float32).tiny)).float()
    if np.iscomplexobj(values):
        raise DataError(f"it holds complex numbers, and this problem takes real ones ({kind})")
    if kind == "hounsfield":
        return torch.from_numpy(values.astype(np.float32))[None]
    if values.min() < 0 or values.max() > 1:
        raise DataError("it holds numbers outside [0, 1], and this problem takes pictures")
    return torch.from_numpy(values.astype(np.float32)).expand(3, -1, -1).clone()


def picture_as(rgb: Tensor, kind: ImageKind) -> Tensor:
    """A picture (3, H, W) as an image of another kind: its levels, real, or from AIR to FULL Hounsfield units."""
    if kind == "picture":
        return rgb
    gray = rgb_to_gray(rgb)[0]
    return image_of((gray if kind == "complex" else AIR + (FULL - AIR) * gray).numpy(), kind)


def list_scans(folder: str | Path) -> list[Path]:
    """Files of arrays and pictures in a folder, sorted by name. Raises DataError if it is missing or holds none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; set data.root to the folder that holds train/ and test/")
    paths = sorted(
        path
        for path in folder.iterdir()
        if ending(path) in READERS and path.is_file() and not path.name.startswith((".", "mask"))
    )
    if not paths:
        raise DataError(f"{folder} holds no images ({', '.join(READERS)})")
    return paths


def read_scans(path: Path, kind: ImageKind) -> Iterator[tuple[str, Tensor]]:
    """The slices of a file, each with what its name ends in: nothing where there is one. Slices of zeros are left out.

    fastMRI's files: k-space of one coil is transformed back; of several coils the reconstruction is taken.
    """
    if ending(path) in PICTURE_ENDINGS:
        yield "", picture_as(read_rgb(path), kind)
        return
    volume = _volume(path)
    for number, values in enumerate(volume):
        if not np.any(values):
            continue
        try:
            yield f"_{number:03d}" if len(volume) > 1 else "", image_of(values, kind)
        except DataError as error:
            raise DataError(f"{path}: {error}; repair the file or take it out of the set") from None


def _volume(path: Path) -> Array:
    """(slices, H, W)."""
    names = array_names(path)
    if KSPACE in names:
        values = read_array(f"{path}:{KSPACE}")
        if values.ndim == 3:
            return inverse_fourier(torch.from_numpy(values)).numpy()
        found = next((name for name in OF_COILS if name in names), None)
        if found is None:
            coils = inverse_fourier(torch.from_numpy(values))
            return coils.abs().square().sum(dim=1).sqrt().numpy()
        return read_array(f"{path}:{found}")
    values = np.squeeze(read_array(path))
    if values.ndim not in (2, 3):
        raise DataError(f"{path} holds an array {values.shape}, and images are (H, W) or a stack of them")
    if values.ndim == 2:
        return values[None]
    return np.moveaxis(values, -1, 0) if ending(path) in LAST_AXIS else values
