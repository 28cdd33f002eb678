"""Names of pictures as keys and file names: one each, short enough for every file system, fit to be printed."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mcnet_lightning.errors import printable

LONGEST = 200  # bytes of a name, which leaves room for suffixes where a file system takes 255
RESERVED = ("mean",)  # what the row of means is called
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
ALSO_READ = (".gif", ".jfif", ".avif", ".heic", ".jp2")  # in a folder of people's pictures
ARRAYS = (".npy", ".npz", ".mat", ".h5", ".hdf5", ".cfl")  # that k-space comes in
BESIDE_KSPACE = ("mask", "maps", "sens")  # what the names of other arrays in its folder begin with


def is_picture_name(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a file in a folder looks like a picture that somebody put there."""
    return path.suffix.lower() in suffixes and not path.name.startswith(".")


def folder_pictures(folder: Path) -> list[Path]:
    """What looks like a picture in a folder of people's own, sorted."""
    entries = sorted(folder.iterdir())
    return [path for path in entries if is_picture_name(path, (*EXTENSIONS, *ALSO_READ)) and not path.is_dir()]


def folder_measurements(folder: Path, images: str = "picture") -> list[Path]:
    """What may be restored in a folder of people's own, sorted: pictures, or k-space for problems of complex images."""
    if images != "complex":
        return folder_pictures(folder)
    entries = sorted(folder.iterdir())
    others = [path for path in entries if path.name.lower().startswith(BESIDE_KSPACE)]
    return [path for path in entries if is_picture_name(path, ARRAYS) and path not in others and path.is_file()]


def measured_endings(images: str = "picture") -> str:
    """The endings of such files, for people."""
    return ", ".join(ARRAYS if images == "complex" else EXTENSIONS)


def file_of(value: str) -> Path:
    """The file of PATH or PATH:NAME, which names one of several arrays in it."""
    path = Path(value).expanduser()
    named = ":" in path.name and not path.exists()
    return path.with_name(path.name.rpartition(":")[0]) if named and not path.name.startswith(":") else path


def picture_names(paths: Sequence[Path], reserved: Sequence[str] = ()) -> list[str]:
    """A name for each, no two alike: the stem; where stems are equal, stem and suffix (`x_png`, `x_jpg`), numbered if
    that is another's name. Nothing is called as `reserved`: `mean.png` becomes `mean_`.
    """
    stems = [_printable_line(path.stem) for path in paths]
    stems = [f"{stem}_" if stem in reserved else stem for stem in stems]
    count = Counter(stems)
    taken = {stem for stem in stems if count[stem] == 1}
    names = []
    for path, stem in zip(paths, stems, strict=True):
        if count[stem] > 1:
            stem = _free(_printable_line(path.name).replace(".", "_"), taken)
            taken.add(stem)
        names.append(stem)
    return names


def _printable_line(text: str) -> str:
    return " ".join(printable(text).split("\n")).replace("\t", " ")


def _free(name: str, taken: set[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def shortened(name: str, longest: int = LONGEST) -> str:
    """The name itself, or its beginning and a digest of all of it, in at most `longest` bytes."""
    encoded = os.fsencode(name)
    if len(encoded) <= longest:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    return f"{encoded[: longest - 9].decode(errors='ignore')}_{digest}"
