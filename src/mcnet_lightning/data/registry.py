"""Datasets that can be had by name: where their pictures lie, and the SHA-256 of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcnet_lightning.errors import DataError
from mcnet_lightning.files.downloads import RemoteFile, cache_folder, fetch_all
from mcnet_lightning.files.weights import ASSETS

# the repository published with the paper; the checksums, not a commit, pin what is accepted from it
SOURCE = "https://raw.githubusercontent.com/mouryarahul/SR-MCNet/HEAD/Data"
CHECKSUMS = ASSETS / "datasets"  # NAME.sha256, as `sha256sum` writes and checks them


@dataclass(frozen=True)
class RemoteDataset:
    part: Literal["train", "test"]
    folder: str  # below SOURCE
    bytes: int


DATASETS = {
    "T91": RemoteDataset("train", "TrainImages/T91", 16_064_398),
    "Set5": RemoteDataset("test", "TestImages/Set5", 1_702_706),
    "Set14": RemoteDataset("test", "TestImages/Set14", 5_104_368),
}


def fetch_dataset(name: str) -> list[Path]:
    """The pictures of a dataset in order of their names, downloaded to the cache if they are not there yet.

    Raises DataError, in one sentence with URL and path, if one cannot be had.
    """
    dataset = DATASETS[name]
    where = f"{dataset.part}/{name}"
    return sorted(fetch_named(name, f"{SOURCE}/{dataset.folder}", dataset.bytes, where))


def fetch_named(name: str, source: str, total: int, where: str | None = None) -> list[Path]:
    """The files of assets/datasets/NAME.sha256 in its order, from the folder `source`, like `fetch_dataset`.

    where: the folder below the cache, and below data.root.
    """
    folder = cache_folder() / "datasets" / (where or name)
    files = {folder / file: RemoteFile(f"{source}/{file}", sha256) for sha256, file in _checksums(name)}
    try:
        fetch_all(files, folder, total)
    except DataError as error:
        raise DataError(f"{error}; or set data.root to a folder with {where or name}") from None
    return list(files)


def _checksums(name: str) -> list[tuple[str, str]]:
    """(SHA-256, file name) of every picture."""
    lines = (CHECKSUMS / f"{name}.sha256").read_text().splitlines()
    return [(sha256, picture) for sha256, picture in (line.split("  ", 1) for line in lines)]
