"""Image sets by name: the photographs inside scikit-image, folders root/train/NAME and root/test/NAME, downloads."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from torch import Tensor

from mcnet_lightning.data.arrays import list_scans, read_scans
from mcnet_lightning.data.registry import DATASETS, fetch_dataset
from mcnet_lightning.data.scans import SCANS, load_scans
from mcnet_lightning.errors import DataError
from mcnet_lightning.files.naming import RESERVED, picture_names
from mcnet_lightning.imaging import list_images, read_rgb
from mcnet_lightning.problems.base import ImageKind

Part = Literal["train", "validation", "test"]

EMBEDDED = "photographs"
# scikit-image's public-domain and CC0 pictures, shipped in its wheel; the split is fixed
PHOTOGRAPHS: dict[Part, tuple[str, ...]] = {
    "train": ("coffee.png", "hubble_deep_field.jpg", "ihc.png", "brick.png", "grass.png", "gravel.png", "moon.png"),
    "validation": ("rocket.jpg", "coins.png"),
    "test": ("astronaut.png", "camera.png", "chelsea.png"),
}
HOLD_OUT_EVERY = 10  # every tenth image of a training folder is kept for validation


@dataclass(frozen=True)
class NamedImage:
    dataset: str
    name: str
    rgb: Tensor  # (3, H, W) in [0, 1]; of arrays what `Problem.images` says: complex (2, H, W), hounsfield (1, H, W)
    group: str = ""  # images of one head or patient are no independent samples; empty: the image stands for itself


def load_images(
    dataset: str, part: Part, root: str | None = None, kind: ImageKind = "picture"
) -> tuple[NamedImage, ...]:
    """All images of one part of a dataset, as a problem takes them: `kind` is its `images`. Folder sets are split by
    position in the sorted list of names.

    Without a root, the sets of the registry are downloaded once. Raises DataError if the set is unknown, its folder is
    missing, a download fails, or a file is no picture.
    """
    if dataset in SCANS:
        return tuple(NamedImage(dataset, *scan) for scan in load_scans(dataset, part, root, kind))
    return named_images(dataset, image_paths(dataset, part, root, kind), kind)


def named_images(dataset: str, paths: Sequence[Path], kind: ImageKind = "picture") -> tuple[NamedImage, ...]:
    """The pictures, each under a name of its own that is not the one of the row of means; of other kinds every slice of
    the files, those of one file being one group.
    """
    names = zip(picture_names(paths, RESERVED), paths, strict=True)
    if kind == "picture":
        return tuple(NamedImage(dataset, name, read_rgb(path)) for name, path in names)
    found = ((name, list(read_scans(path, kind))) for name, path in names)
    return tuple(
        NamedImage(dataset, name + number, image, name if len(scans) > 1 else "")
        for name, scans in found
        for number, image in scans
    )


def list_files(folder: str | Path, kind: ImageKind) -> list[Path]:
    """What `named_images` reads of a folder of one's own, or of one file."""
    if Path(folder).is_file():
        return [Path(folder)]
    return list_images(folder) if kind == "picture" else list_scans(folder)


def image_paths(dataset: str, part: Part, root: str | None = None, kind: ImageKind = "picture") -> list[Path]:
    if dataset == EMBEDDED:
        folder = files("skimage") / "data"
        return [Path(str(folder / name)) for name in PHOTOGRAPHS[part]]
    if root is not None:
        paths = list_files(Path(root) / ("test" if part == "test" else "train") / dataset, kind)
    elif dataset in DATASETS:
        paths = fetch_dataset(dataset)
    else:
        raise DataError(
            f"dataset {dataset!r} is unknown; known are {', '.join((EMBEDDED, *DATASETS, *SCANS))}; "
            "use one of these, or set data.root to the folder that holds train/ and test/"
        )
    if part == "test":
        return paths
    if len(paths) < 2:
        raise DataError(f"training set {dataset!r} holds one image; at least two are needed, one is held out")
    held_out = set(paths[HOLD_OUT_EVERY - 1 :: HOLD_OUT_EVERY]) or {paths[-1]}
    return [path for path in paths if (path in held_out) == (part == "validation")]
