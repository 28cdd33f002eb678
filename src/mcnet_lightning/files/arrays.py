"""Arrays of other programs' files: NumPy, MATLAB, HDF5, NIfTI, DICOM, BART, text and pictures, by their endings.

A file that holds several arrays names them: FILE:NAME is one of them, FILE:NAME/3 the fourth of a MATLAB cell.
Nothing in a file is ever executed. The libraries that the formats need are optional, and named where one is missing.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.files.matlab import load_matlab

PICTURES = ("PNG", "TIFF", "BMP", "JPEG", "PPM")  # Pillow has decoders that start programs
Array = NDArray[Any]
Contents = Mapping[str, Callable[[], Array]]  # of a file: its arrays by name, each read when it is asked for


def read_array(path: str | Path) -> Array:
    """The array of a file, real or complex, as it is stored; of several, the one that PATH:NAME says.

    Raises DataError, in one sentence, for a file that is missing, damaged, of another kind or holds several arrays,
    and ConfigError where the library for its format is not installed.
    """
    file, name = _split(str(path))
    contents = array_names(file)
    if name is None and len(contents) != 1:
        raise DataError(f"{file} holds {_listed(contents)}; say which one: {file}:NAME")
    if name is not None and name not in contents:
        raise DataError(f"{file} holds no {name!r}, but {_listed(contents)}")
    array = _guarded(file, contents[next(iter(contents)) if name is None else name])
    parts = [array[part] for part in array.dtype.names or ()]
    if len(parts) == 2 and all(part.dtype.kind in "iuf" for part in parts):  # MATLAB's complex numbers
        array = parts[0] + 1j * parts[1]
    if not np.issubdtype(array.dtype, np.number) and array.dtype != bool:
        raise DataError(f"{path} holds {array.dtype} and no numbers")
    return array


def array_names(path: str | Path) -> Contents:
    """The arrays of a file by name, read when they are asked for. Raises like `read_array`."""
    file = Path(path)
    if not file.is_file():
        raise DataError(f"there is no file {file}; check the path")
    reader = READERS.get(ending(file))
    if reader is None:
        raise DataError(f"{file} is of no kind that is read here; give one of {', '.join(READERS)}")
    return _guarded(file, lambda: reader(file))


def complex_of(values: Array, what: str = "k-space") -> Array:
    """Complex numbers, given as such or as real ones with real and imaginary part along the last axis or the first."""
    if not (np.issubdtype(values.dtype, np.number) and values.ndim):
        raise DataError(f"{what} holds {values.dtype} and no numbers")
    if np.iscomplexobj(values):
        return values.astype(np.complex128)
    if values.ndim > 2 and 2 in (values.shape[-1], values.shape[0]):
        real, imaginary = np.moveaxis(values, -1 if values.shape[-1] == 2 else 0, 0).astype(np.float64)
        return real + 1j * imaginary
    raise DataError(
        f"{what} of shape {values.shape} holds real numbers, {values.dtype}; give complex ones, or real and imaginary "
        "part along a last or first axis of 2"
    )


def ending(path: Path) -> str:
    """The ending that tells the kind of a file, in small letters."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def _split(path: str) -> tuple[Path, str | None]:
    if ":" in path and not Path(path).exists():
        file, _, name = path.rpartition(":")
        return Path(file), name
    return Path(path), None


def _listed(contents: Contents) -> str:
    names = list(contents)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "no array"


def _guarded(file: Path, read: Callable[[], Any]) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            return read()
    except (ConfigError, DataError):
        raise
    except Exception as error:  # damaged files fail in every way there is
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataError(f"{file} cannot be read ({reason}); check the file") from None


def _library(module: str, package: str, kind: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(f"{kind} files need {package}, which is not installed: pip install {package}") from None


def _npy(path: Path) -> Contents:
    return {path.stem: lambda: np.load(path, allow_pickle=False)}


def _npz(path: Path) -> Contents:
    with np.load(path, allow_pickle=False) as archive:
        names = archive.files

    def member(name: str) -> Array:
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]

    return {name: partial(member, name) for name in names}


def _matlab(path: Path) -> Contents:
    with path.open("rb") as file:
        is_hdf5 = b"MATLAB 7.3" in file.read(128)
    if is_hdf5:  # stored column by column
        return {name: partial(_transposed, read) for name, read in _hdf5(path).items()}
    found: dict[str, Callable[[], Array]] = {}
    for name, value in load_matlab(path).items():
        if value.dtype == object:
            found |= {f"{name}/{i}": partial(np.asarray, cell) for i, cell in enumerate(value.flatten())}
        else:
            found[name] = partial(np.asarray, value)
    return found


def _transposed(read: Callable[[], Array]) -> Array:
    return read().T


def _hdf5(path: Path) -> Contents:
    h5py = _library("h5py", "h5py", "HDF5 and MATLAB 7.3")
    found: dict[str, Callable[[], Array]] = {}

    def read(name: str) -> Array:
        with h5py.File(path) as file:
            return np.asarray(file[name])

    def look(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or name.startswith("#"):
            return
        if h5py.check_ref_dtype(item.dtype):  # a cell: references to datasets
            targets = [file[reference].name for reference in np.asarray(item).flatten()]
            found.update({f"{name}/{i}": partial(read, at) for i, at in enumerate(targets)})
        elif item.dtype.kind in "biufcV" and item.ndim > 0:
            found[name] = partial(read, name)

    with h5py.File(path) as file:
        file.visititems(look)
    return found


def _nifti(path: Path) -> Contents:
    nibabel = _library("nibabel", "nibabel", "NIfTI")
    return {path.name.partition(".")[0]: lambda: np.asarray(nibabel.load(path).dataobj)}


def _dicom(path: Path) -> Contents:
    pydicom = _library("pydicom", "pydicom", "DICOM")

    def pixels() -> Array:
        """In the units that the file states: Hounsfield units, of CT."""
        scan = pydicom.dcmread(path)
        stored = scan.pixel_array.astype(np.float64)
        return stored * float(scan.get("RescaleSlope", 1)) + float(scan.get("RescaleIntercept", 0))

    return {path.stem: pixels}


def _bart(path: Path) -> Contents:
    return {path.stem: lambda: _bart_samples(path).squeeze()}


def read_bart(path: Path) -> Array:
    """BART's complex64 with all of its dimensions, those of size 1 too. Raises like `read_array`."""
    array: Array = _guarded(path, lambda: _bart_samples(path))
    return array


def _bart_samples(path: Path) -> Array:
    """Column by column; the sizes stand in a .hdr beside it."""
    lines = [line for line in path.with_suffix(".hdr").read_text().splitlines() if not line.startswith("#")]
    shape = [int(size) for size in lines[0].split()]
    return np.fromfile(path, np.complex64).reshape(shape, order="F")


def _text(path: Path) -> Contents:
    delimiter = "," if "," in path.read_text() else None
    return {path.stem: lambda: np.loadtxt(path, delimiter=delimiter, ndmin=2)}


def _picture(path: Path) -> Contents:
    """Gray levels in [0, 1]; of colour, its luma."""

    def levels() -> Array:
        with Image.open(path, formats=PICTURES) as picture:
            boxes = [part.extents or (0, 0, 0, 0) for part in picture.tile]
            if sum((right - left) * (low - top) for left, top, right, low in boxes) < picture.width * picture.height:
                raise ValueError("parts of it are missing")  # Pillow would leave them black
            deep = picture.mode.startswith(("I", "F"))
            values = np.asarray(picture if deep else picture.convert("L"))
        return values / (65535.0 if values.dtype in (np.uint16, np.int32) else 1.0 if deep else 255.0)

    return {path.stem: levels}


PICTURE_ENDINGS = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".pgm")
READERS: dict[str, Callable[[Path], Contents]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".mat": _matlab,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".nii": _nifti,
    ".nii.gz": _nifti,
    ".dcm": _dicom,
    ".cfl": _bart,
    ".txt": _text,
    ".csv": _text,
    **dict.fromkeys(PICTURE_ENDINGS, _picture),
}
