"""Datasets by name: complete lists, downloaded once, checked picture by picture."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from file_server import FileServer

from mcnet_lightning.data import load_images, registry
from mcnet_lightning.data.registry import DATASETS, fetch_dataset
from mcnet_lightning.data.sources import image_paths
from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging import write_png

COUNTS = {"T91": 91, "Set5": 5, "Set14": 14}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Three tiny datasets under the real names, and an empty cache."""
    lists = tmp_path / "lists"
    lists.mkdir()
    with FileServer() as server:
        for name, dataset in DATASETS.items():
            lines = []
            for index in (3, 1, 2):
                write_png(tmp_path / "picture.png", torch.full((3, 4, 4), index / 255))
                content = (tmp_path / "picture.png").read_bytes()
                server.files[f"{dataset.folder}/{index}.png"] = content
                lines.append(f"{hashlib.sha256(content).hexdigest()}  {index}.png\n")
            (lists / f"{name}.sha256").write_text("".join(lines))
        monkeypatch.setattr(registry, "SOURCE", server.url)
        monkeypatch.setattr(registry, "CHECKSUMS", lists)
        monkeypatch.setenv("MCNET_CACHE", str(tmp_path / "cache"))
        yield server


def test_sets_by_name_are_downloaded_and_read_in_order(server: FileServer) -> None:
    images = load_images("Set5", "test")
    assert [(image.dataset, image.name) for image in images] == [("Set5", "1"), ("Set5", "2"), ("Set5", "3")]
    assert [round(float(image.rgb.max()) * 255) for image in images] == [1, 2, 3]
    assert {name.rpartition("/")[0] for name, _ in server.asked} == {"TestImages/Set5"}  # only what was asked for


def test_training_set_is_split_like_a_folder(server: FileServer, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "datasets" / "train" / "T91"
    assert image_paths("T91", "train") == [folder / "1.png", folder / "2.png"]
    assert image_paths("T91", "validation") == [folder / "3.png"]
    assert len(server.asked) == 3


def test_own_folder_comes_before_the_download(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "own" / "test" / "Set5").mkdir(parents=True)
    write_png(tmp_path / "own" / "test" / "Set5" / "mine.png", torch.rand(3, 4, 4))
    assert [image.name for image in load_images("Set5", "test", str(tmp_path / "own"))] == ["mine"]
    assert not server.asked


def test_pictures_that_are_there_are_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    kept, server.files["TestImages/Set5/2.png"] = server.files["TestImages/Set5/2.png"], b"not the picture"
    with pytest.raises(DataError, match=r"Set5/2\.png has SHA-256 .* set data\.root to a folder with test/Set5$"):
        fetch_dataset("Set5")
    server.files["TestImages/Set5/2.png"] = kept
    server.asked.clear()
    assert len(fetch_dataset("Set5")) == 3
    assert [name for name, _ in server.asked] == ["TestImages/Set5/2.png"]


def test_offline_names_url_path_and_the_other_way(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "SOURCE", "http://127.0.0.1:1")
    with pytest.raises(DataError) as error:
        load_images("Set14", "test")
    path = tmp_path / "cache" / "datasets" / "test" / "Set14" / "3.png"
    for words in ("http://127.0.0.1:1/TestImages/Set14/3.png", str(path), "data.root"):
        assert words in str(error.value)


@pytest.mark.parametrize("name", DATASETS)
def test_list_is_complete_and_well_formed(name: str) -> None:
    checksums = registry._checksums(name)
    assert len({picture for _, picture in checksums}) == len(checksums) == COUNTS[name]
    assert all(len(sha256) == 64 and int(sha256, 16) for sha256, _ in checksums)


@pytest.mark.parametrize("name", DATASETS)
def test_list_describes_the_shared_pictures(name: str, shared: Path) -> None:
    folder = shared / "data" / DATASETS[name].part / name
    pictures = {picture: sha256 for sha256, picture in registry._checksums(name)}
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()} == pictures
    assert sum(path.stat().st_size for path in folder.iterdir()) == DATASETS[name].bytes
