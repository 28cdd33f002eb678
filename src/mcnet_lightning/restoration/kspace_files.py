"""Files of k-space, and of reconstructions: which array, which of its axes are slices and coils, and its mask."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcnet_lightning.errors import DataError
from mcnet_lightning.files import file_digest
from mcnet_lightning.files.arrays import array_names, complex_of, ending, read_array, read_bart
from mcnet_lightning.files.naming import file_of
from mcnet_lightning.operators.fourier import FourierSampling
from mcnet_lightning.operators.sense import Sense
from mcnet_lightning.restoration.kspace import KSpace, kspace_of

Array = NDArray[Any]
KSPACE, MASK, MAPS = ("kspace", "k_space", "ksp"), ("mask",), ("maps", "sens_maps", "sensitivities")
FASTMRI = (".h5", ".hdf5")  # whose first axis is that of slices
LAST_AXIS = (".nii", ".nii.gz")  # of slices
BART_COILS, BART_MAPS, BART_SLICES = 3, 4, 13


@dataclass(frozen=True)
class Reading:
    """What is said of k-space beside its file. mask, maps: FILE or FILE:NAME."""

    mask: str | None = None
    maps: str | None = None
    zero_frequency: str = "auto"
    image_origin: str = "auto"
    max_megapixels: float = 200.0

    @property
    def settings(self) -> dict[str, Any]:
        """What a result depends on, contents and not names."""
        named = {name: getattr(self, name) for name in ("mask", "maps")}
        contents = {
            name: None if value is None else [file_digest(file_of(value)), value.rpartition(":")[2] * (":" in value)]
            for name, value in named.items()
        }
        return {**contents, "zero_frequency": self.zero_frequency, "image_origin": self.image_origin}


class KSpaceFile:
    """The slices of a file, each as `KSpace`. fastMRI's files bring a mask, and any may bring mask and maps by name.

    Raises DataError for files that hold no k-space, ConfigError for formats whose library is missing.
    """

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path, self.reading = path, reading
        contents = array_names(path)
        self.mask, self.mask_from = _beside(path, contents, reading.mask, MASK)
        self.maps, self.maps_from = _beside(path, contents, reading.maps, MAPS)
        self.values = _slices(path, contents, self.maps)
        height, width = self.values.shape[-2:]
        if height * width > reading.max_megapixels * 1e6:
            raise DataError(
                f"{path} has {height} x {width} samples, more than {reading.max_megapixels:g} million; raise "
                "max_megapixels"
            )

    def __len__(self) -> int:
        return len(self.values)

    def slice(self, index: int) -> KSpace:
        if not 0 <= index < len(self):
            raise DataError(f"{self.path} holds {len(self)} slices, counted from 0, and none has number {index}")
        return kspace_of(
            self.values[index],
            _of_slice(self.mask, index, len(self), 3),
            _of_slice(self.maps, index, len(self), 4),
            zero_frequency=self.reading.zero_frequency,
            image_origin=self.reading.image_origin,
        )

    def about(self, scan: KSpace, index: int) -> dict[str, Any]:
        """What a certificate says of it that can be found out again."""
        sampling = scan.operator.sampling if isinstance(scan.operator, Sense) else scan.operator
        assert isinstance(sampling, FourierSampling)
        said = {
            "problem": "mri",
            "operator": scan.operator.name,
            "zero_frequency": scan.zero_frequency,
            "image_origin": scan.image_origin,
            "mask_sha256": _digest(sampling.mask.bool().numpy()),
            "measurement": {"sha256": file_digest(self.path)} | ({"slice": index} if len(self) > 1 else {}),
        }
        if isinstance(scan.operator, Sense):
            said["maps_sha256"] = _digest(scan.operator.maps.numpy().astype(np.complex64))
        return said


def read_images(path: Path) -> Array:
    """A reconstruction, complex (slices, H, W). Raises DataError for magnitudes, which do not tell the phase."""
    values = read_array(path)
    paired = values.ndim > 2 and 2 in (values.shape[0], values.shape[-1])
    if not (np.iscomplexobj(values) or paired):
        raise DataError(
            f"{path} holds real numbers ({values.dtype}), such as magnitudes, and k-space tells phases apart; "
            "save the complex reconstruction, or one that is real indeed as complex64"
        )
    images = complex_of(values, str(path))
    images = np.moveaxis(images, -1, 0) if ending(path) in LAST_AXIS and images.ndim == 3 else images
    images = images[None] if images.ndim == 2 else images
    if images.ndim != 3:
        raise DataError(f"{path} of shape {values.shape} is no image: give (H, W) or (slices, H, W)")
    if not np.isfinite(images).all():
        raise DataError(f"{path} holds NaN or Inf; repair it")
    return images


def _slices(path: Path, contents: Mapping[str, Any], maps: Array | None) -> Array:
    """(slices, coils, H, W), complex or as real pairs made complex."""
    if ending(path) == ".cfl":
        return _of_bart(path)
    name = next((each for each in KSPACE if each in contents), None)
    values = read_array(path if name is None else f"{path}:{name}")
    if not np.iscomplexobj(values):
        values = complex_of(values, str(path))
    coils = None if maps is None else maps.shape[-3] if maps.ndim > 2 else 1
    if values.ndim == 2:
        return values[None, None]
    if values.ndim == 3 and ending(path) in FASTMRI and coils in (None, 1):
        return values[:, None]
    if values.ndim in (3, 4):
        values = _coils_first(values)
        return values[None] if values.ndim == 3 else values
    raise DataError(
        f"{path} holds an array {values.shape}, and k-space is (H, W), (coils, H, W) or (slices, coils, H, W)"
    )


def _coils_first(values: Array) -> Array:
    """(..., coils, H, W) of that, or of (..., H, W, coils) as MATLAB has it: coils are by far the fewest."""
    last = values.ndim > 2 and 2 * values.shape[-1] <= min(values.shape[-3:-1])
    return np.moveaxis(values, -1, -3) if last else values


def _of_bart(path: Path) -> Array:
    """(slices, coils, H, W), of BART's sixteen dimensions."""
    values = read_bart(path)
    shape = (*values.shape, *(1 for _ in range(BART_SLICES + 1 - values.ndim)))
    values = values.reshape(shape, order="F")
    plane = [axis for axis in range(3) if shape[axis] > 1]
    others = [axis for axis, size in enumerate(shape) if size > 1 and axis not in (*plane, BART_COILS, BART_SLICES)]
    if len(plane) != 2 or others:
        raise DataError(
            f"{path} has dimensions {' '.join(map(str, shape))}, and here it is a plane with coils (dimension 3) and "
            "slices (13); transform a volume along its readout first (bart fft -i), and take one set of maps"
        )
    kept = [BART_SLICES, BART_COILS, *plane]
    rest = [axis for axis in range(values.ndim) if axis not in kept]
    return values.transpose(*kept, *rest).reshape([shape[axis] for axis in kept])


def _beside(
    path: Path, contents: Mapping[str, Any], given: str | None, names: tuple[str, ...]
) -> tuple[Array | None, str | None]:
    """Mask or maps, and where they are from: the file that is given, or an array of the same file."""
    if given is not None:
        file = file_of(given)
        name = given.rpartition(":")[2] if file != Path(given).expanduser() else None
        if ending(file) == ".cfl" and names == MAPS:
            return _of_bart(file), file.name
        values = read_array(file if name is None else f"{file}:{name}")
        return _coils_first(complex_of(values, str(file))) if names == MAPS else values, file.name
    name = next((each for each in names if each in contents and len(contents) > 1), None)
    if name is None:
        return None, None
    values = read_array(f"{path}:{name}")
    return _coils_first(complex_of(values, name)) if names == MAPS else values, f"{path.name}:{name}"


def _of_slice(values: Array | None, index: int, slices: int, dimensions: int) -> Array | None:
    """Of an array that has a first axis of slices, or of one; else all of it."""
    if values is None or values.ndim != dimensions or len(values) not in (1, slices):
        return values
    return values[index if len(values) > 1 else 0]


def _digest(values: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
