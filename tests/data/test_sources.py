"""Image sets: what is embedded, what lies in folders, and how they are split."""

from pathlib import Path

import pytest
import torch

from mcnet_lightning.data.sources import Part, image_paths, load_images
from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging import write_png

PARTS: tuple[Part, ...] = ("train", "validation", "test")


def folder(root: Path, part: str, count: int) -> str:
    (root / part / "own").mkdir(parents=True)
    for index in range(count):
        write_png(root / part / "own" / f"{index:03}.png", torch.full((3, 4, 4), index / 255))
    return str(root)


@pytest.mark.parametrize("part", PARTS)
def test_embedded_photographs_are_there(part: Part) -> None:
    assert len(image_paths("photographs", part)) >= 2
    assert all(path.is_file() for path in image_paths("photographs", part))


def test_embedded_split_is_disjoint() -> None:
    names = [path.name for part in PARTS for path in image_paths("photographs", part)]
    assert len(names) == len(set(names))


def test_embedded_images_are_colour_tensors() -> None:
    images = load_images("photographs", "validation")
    assert all(image.rgb.shape[0] == 3 and image.rgb.dtype == torch.float32 for image in images)
    assert [image.name for image in images] == ["rocket", "coins"]


@pytest.mark.parametrize("count", [2, 9, 10, 31])
def test_training_folder_is_split_without_overlap_or_loss(tmp_path: Path, count: int) -> None:
    root = folder(tmp_path, "train", count)
    train, validation = (set(image_paths("own", part, root)) for part in ("train", "validation"))
    assert not train & validation
    assert len(train | validation) == count
    assert len(validation) == max(1, count // 10)


def test_split_does_not_change_from_call_to_call(tmp_path: Path) -> None:
    root = folder(tmp_path, "train", 20)
    assert image_paths("own", "train", root) == image_paths("own", "train", root)


def test_test_folder_is_taken_whole(tmp_path: Path) -> None:
    images = load_images("own", "test", folder(tmp_path, "test", 3))
    assert [(image.dataset, image.name) for image in images] == [("own", "000"), ("own", "001"), ("own", "002")]


@pytest.mark.parametrize("part", PARTS)
def test_missing_folder_is_named(tmp_path: Path, part: Part) -> None:
    place = "test" if part == "test" else "train"
    with pytest.raises(DataError, match=rf"no folder .*{place}/nowhere; set data\.root"):
        load_images("nowhere", part, str(tmp_path))


def test_unknown_set_without_a_root_says_which_there_are() -> None:
    message = r"'set5' is unknown; known are photographs, T91, Set5, Set14, cardiac20.*; .* set data\.root"
    with pytest.raises(DataError, match=message):
        load_images("set5", "test")


def test_broken_picture_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path, "test", 1)
    (tmp_path / "test" / "own" / "broken.png").write_text("no picture")
    with pytest.raises(DataError, match=r"broken\.png cannot be read"):
        load_images("own", "test", root)


def test_a_training_folder_of_one_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least two"):
        image_paths("own", "train", folder(tmp_path, "train", 1))
