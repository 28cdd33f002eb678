"""Published sets by name, found under data.root or downloaded: scans as arrays, and pictures for testing alone.

Their parts are split by head, patient or series, never by slice of one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from torch import Tensor

from mcnet_lightning.data.arrays import AIR, FULL, image_of, picture_as
from mcnet_lightning.data.registry import CHECKSUMS, fetch_named
from mcnet_lightning.errors import DataError
from mcnet_lightning.files.arrays import array_names
from mcnet_lightning.imaging import read_rgb
from mcnet_lightning.problems.base import ImageKind

Array = NDArray[Any]
Part = str
SMALL = 2  # side of the blocks that the embedded scans are averaged over, but as pictures
PHASE_DEGREE = 3


@dataclass(frozen=True)
class Scan:
    """One slice; `make` gives it as an image of a kind."""

    name: str
    group: str
    make: Callable[[ImageKind], Tensor]


@dataclass(frozen=True)
class ScanSet:
    """parts: positions in the set. below: its folder under data.root. source: URL of the folder of its files, whose
    checksums stand in assets/datasets/NAME.sha256; None: it is not downloaded.
    """

    parts: dict[Part, range]
    scans: Callable[[Path | None, Sequence[int]], Iterator[Scan]]
    below: str = ""
    source: str | None = None
    bytes: int = 0


def load_scans(dataset: str, part: Part, root: str | None, kind: ImageKind) -> Iterator[tuple[str, Tensor, str]]:
    """Name, image and group of every slice of a part, as the problem takes them.

    Raises DataError where the set has no such part, is neither under data.root nor downloadable, or fails to download.
    """
    known = SCANS[dataset]
    if part not in known.parts:
        raise DataError(
            f"{dataset} is a test set and has no part for {part}; name another set in data.train, such as cardiac20"
        )
    folder = None if not known.below or root is None else Path(root) / known.below
    if folder is not None and not folder.is_dir():
        raise DataError(f"there is no folder {folder}, where {dataset} is looked for; correct or leave out data.root")
    if folder is None and known.below and known.source is None:
        raise DataError(f"{dataset} is found under data.root alone, in {known.below}; embedded is cardiac20")
    for scan in known.scans(folder, known.parts[part]):
        yield scan.name, scan.make(kind), scan.group


def _siat(folder: Path | None, positions: Sequence[int]) -> Iterator[Scan]:
    """200 complex T2-weighted slices 256 x 256 of seven heads, 30 of each but the last."""

    def scan(position: int, values: Array) -> Scan:
        middle = values[7:263].astype(np.complex64)
        return Scan(f"lsq{position + 1}", f"head{position // 30 + 1}", partial(_slice, middle))

    if folder is None:
        paths = {path.stem: path for path in fetch_named("siat", SCANS["siat"].source or "", SCANS["siat"].bytes)}
        for position in positions:
            arrays = [read() for read in array_names(paths[f"lsq{position + 1}"]).values()]
            yield scan(position, next(each for each in arrays if each.shape == (270, 256)))
        return
    chosen = list(positions)
    with np.load(folder / "siat200_complex.npz") as archive:
        low, high, scale = (archive[name][chosen] for name in ("lo", "hi", "scale"))
    levels = (low.astype(np.uint16) | high.astype(np.uint16) << 8).view(np.int16)
    for position, level, unit in zip(chosen, levels, scale, strict=True):
        yield scan(position, (level[0] + 1j * level[1]) * unit)


def _ct100(folder: Path | None, positions: Sequence[int]) -> Iterator[Scan]:
    """100 chest and abdomen slices 256 x 256 in Hounsfield units; whose they are is not said."""
    if folder is not None:
        with np.load(folder / "ct100_hu_256_i16.npz") as archive:
            values = archive["data"]
        slices = {position: values[position].astype(np.float32) for position in positions}
    else:
        paths = fetch_named("ct100", SCANS["ct100"].source or "", SCANS["ct100"].bytes)
        pixels = {position: tifffile.imread(paths[position]).astype(np.float64) for position in positions}
        slices = {position: _means(image, 2).clip(-1024, 3071).round() for position, image in pixels.items()}
    for position, image in slices.items():
        yield Scan(f"ct{position:02d}", "", partial(_slice, image))


def _cardiac(folder: Path | None, positions: Sequence[int]) -> Iterator[Scan]:
    """100 cardiac slices 256 x 256: the magnitudes that were published, with a phase of ours."""
    assert folder is not None
    with np.load(folder / "cardiac100_u16.npz") as archive:
        values = archive["data"]
    for position in positions:
        yield Scan(f"heart{position + 1:03d}", "", partial(_heart, values[position] / 65535, position + 1))


def _cardiac20(folder: Path | None, positions: Sequence[int]) -> Iterator[Scan]:
    """Twenty of them inside the package; as scans 128 x 128, so that a training takes minutes."""
    with np.load(CHECKSUMS / "cardiac20.npz") as archive:
        values, numbers = archive["data"], archive["number"]
    for position in positions:

        def make(kind: ImageKind, magnitude: Array = values[position] / 255, n: int = numbers[position]) -> Tensor:
            return _heart(magnitude if kind == "picture" else _means(magnitude, SMALL), int(n), kind)

        yield Scan(f"heart{numbers[position]:03d}", "", make)


def _heart(magnitude: Array, number: int, kind: ImageKind) -> Tensor:
    """Magnitudes in [0, 1]; as complex numbers with `smooth_phase`."""
    values = magnitude * np.exp(1j * smooth_phase(magnitude.shape, number)) if kind == "complex" else magnitude
    return image_of(AIR + (FULL - AIR) * values if kind == "hounsfield" else values, kind)


def smooth_phase(shape: tuple[int, ...], number: int) -> Array:
    """A polynomial of degree 3 in both coordinates from -1 to 1, its coefficients standard normal by `number`: what
    coils and the field do to the phase, where the magnitudes alone were published.
    """
    coefficients = np.random.default_rng(number).standard_normal((PHASE_DEGREE + 1, PHASE_DEGREE + 1))
    i, j = np.indices(coefficients.shape)
    rows, columns = (np.linspace(-1, 1, size) for size in shape)
    return np.polynomial.polynomial.polygrid2d(rows, columns, coefficients * (i + j <= PHASE_DEGREE))


def _as(values: Array, kind: ImageKind) -> Array:
    """Complex slices and Hounsfield units for problems of other kinds: magnitudes with their peak at white, and units
    from AIR to FULL between black and white.
    """
    if np.iscomplexobj(values) == (kind == "complex") and kind != "picture":
        return values
    if not np.iscomplexobj(values):
        return ((values - AIR) / (FULL - AIR)).clip(0, 1)
    magnitude = np.abs(values) / np.abs(values).max()
    return magnitude if kind == "picture" else AIR + (FULL - AIR) * magnitude


def _slice(values: Array, kind: ImageKind) -> Tensor:
    return image_of(_as(values, kind), kind)


def _picture(path: Path, kind: ImageKind) -> Tensor:
    return picture_as(read_rgb(path), kind)


def _means(values: Array, side: int) -> Array:
    height, width = values.shape
    return values.reshape(height // side, side, width // side, side).mean(axis=(1, 3))


def _pictures(name: str) -> Callable[[Path | None, Sequence[int]], Iterator[Scan]]:
    def scans(folder: Path | None, positions: Sequence[int]) -> Iterator[Scan]:
        known = SCANS[name]
        paths = sorted(folder.glob("*.png")) if folder else fetch_named(name, known.source or "", known.bytes)
        for position in positions:
            if position >= len(paths):
                raise DataError(f"{folder} holds {len(paths)} pictures, and {name} has {len(positions)}; complete it")
            path = paths[position]
            yield Scan(path.stem, "", partial(_picture, path))

    return scans


RAW = "https://raw.githubusercontent.com"
SCANS: dict[str, ScanSet] = {
    "cardiac20": ScanSet({"train": range(14), "validation": range(14, 16), "test": range(16, 20)}, _cardiac20),
    "cardiac": ScanSet(
        {"train": range(67), "validation": range(67, 86), "test": range(86, 100)}, _cardiac, "mri/admm_cardiac100"
    ),
    "siat": ScanSet(
        {"train": range(120), "validation": range(120, 150), "test": range(150, 200)},
        _siat,
        "mri/siat200",
        f"{RAW}/yqx7150/SIAT_MRIdata200/HEAD/SIAT_MRIdata200",
        212_000_000,
    ),
    "brain50": ScanSet(
        {"test": range(50)},
        _pictures("brain50"),
        "mri/ista_brain50",
        f"{RAW}/jianzhangcs/ISTA-Net-PyTorch/HEAD/data/BrainImages_test",
        1_600_000,
    ),
    "ct100": ScanSet(
        {"train": range(80), "validation": range(80, 90), "test": range(90, 100)},
        _ct100,
        "ct/ct100",
        f"{RAW}/ChrisKalahiki/CT-Image-Analysis-using-DWT/HEAD/tiff_images",
        209_742_000,
    ),
    "bsd68": ScanSet(
        {"test": range(68)},
        _pictures("bsd68"),
        "natural/BSD68",
        f"{RAW}/cszn/FFDNet/HEAD/testsets/BSD68",
        6_800_000,
    ),
    "set12": ScanSet(
        {"test": range(12)},
        _pictures("set12"),
        "natural/Set12",
        f"{RAW}/cszn/FFDNet/HEAD/testsets/Set12",
        1_300_000,
    ),
}
