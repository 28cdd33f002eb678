"""Folders as people have them: hidden files, turned and deep pictures, equal names, tiny and black images."""

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_files import png, tiff
from PIL import Image

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.data import MeasurementDataModule
from mcnet_lightning.data.sources import load_images
from mcnet_lightning.errors import DataError
from mcnet_lightning.evaluation.ladder import Ladder
from mcnet_lightning.evaluation.metrics import ImageMeans
from mcnet_lightning.evaluation.records import MEAN, read_metrics
from mcnet_lightning.evaluation.tables import print_ladder, with_means, write_metrics
from mcnet_lightning.imaging import find_picture, list_images
from mcnet_lightning.methods import Bicubic
from mcnet_lightning.problems.mri import MRI
from mcnet_lightning.problems.super_resolution import SuperResolution

SMALL = np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8)


def set_folder(root: Path) -> Path:
    (root / "test" / "S").mkdir(parents=True)
    return root / "test" / "S"


def names(root: Path) -> list[str]:
    return [image.name for image in load_images("S", "test", str(root))]


def test_hidden_files_and_folders_are_no_pictures(tmp_path: Path) -> None:
    folder = set_folder(tmp_path)
    Image.fromarray(SMALL).save(folder / "cat.png")
    (folder / "._cat.png").write_bytes(b"\0\5\26\7" + bytes(78))
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "folder.png").mkdir()
    assert names(tmp_path) == ["cat"]


def test_pipes_and_damaged_pictures_are_one_sentence(tmp_path: Path) -> None:
    folder = set_folder(tmp_path)
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png is no regular file"):
        names(tmp_path)
    (folder / "pipe.png").unlink()
    (folder / "deep.png").write_bytes(png(SMALL.astype(int) * 257, 16, 2)[:-300])
    with pytest.raises(DataError, match=r"deep\.png cannot be read"):
        names(tmp_path)


def test_names_are_one_each_and_none_is_the_means(tmp_path: Path) -> None:
    folder = set_folder(tmp_path)
    for name in ("a.png", "a.bmp", "mean.png", os.fsdecode(b"caf\xe9.png")):
        Image.fromarray(SMALL).save(folder / name, "PNG")
    assert sorted(names(tmp_path)) == ["a_bmp", "a_png", "caf\ufffd", "mean_"]
    assert find_picture(list_images(folder), "a_png", 2).name == "a.png"
    assert find_picture(list_images(folder), "mean_", 2).name == "mean.png"
    assert find_picture([Path("mean_RCAN_x2.png")], "mean_", 2).name == "mean_RCAN_x2.png"


def pairs(root: Path) -> dict[str, Any]:
    (image,) = list(
        MeasurementDataModule(
            SuperResolution("standard", 2), [], ["own"], hr_folder=str(root / "hr"), lr_folder=str(root / "lr")
        ).test_dataloader()
    )
    return image


def test_pairs_are_turned_upright(tmp_path: Path) -> None:
    for folder, pixels in (("hr", SMALL), ("lr", SMALL[::2, ::2])):
        (tmp_path / folder).mkdir()
        picture = Image.fromarray(np.ascontiguousarray(np.rot90(pixels)))
        picture.getexif()[0x0112] = 6
        picture.save(tmp_path / folder / "a.png", exif=picture.getexif())
    image = pairs(tmp_path)
    np.testing.assert_allclose(image["observation"].colour[0].permute(1, 2, 0).numpy() * 255, SMALL, atol=1e-4)
    np.testing.assert_allclose(
        image["observation"].inputs["lr_rgb"][0].permute(1, 2, 0).numpy() * 255, SMALL[::2, ::2], atol=1e-4
    )


def test_one_file_is_as_good_as_a_folder_of_it(tmp_path: Path) -> None:
    for name, pixels in (("a.png", SMALL), ("b.png", SMALL.max() - SMALL)):
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "array.npy").write_bytes(b"none of the pictures")
    for problem, shape in ((SuperResolution("standard", 2), (1, 24, 24)), (MRI(), (2, 24, 24))):
        data = MeasurementDataModule(problem, [], ["own"], hr_folder=str(tmp_path / "b.png"))
        (image,) = list(data.test_dataloader())
        assert image["name"] == "b"
        assert tuple(image["observation"].truth.shape[1:]) == shape


@pytest.mark.parametrize("suffix", ["png", "tif", "ppm"])
def test_pairs_keep_16_bit(tmp_path: Path, suffix: str) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (24, 24, 3)).astype(np.uint16)
    for folder, samples in (("hr", deep), ("lr", deep[::2, ::2])):
        (tmp_path / folder).mkdir()
        ppm = b"P6 %d %d 65535\n" % samples.shape[1::-1] + samples.astype(">u2").tobytes()
        content = {"png": png(samples, 16, 2), "tif": tiff(samples, photometric="rgb"), "ppm": ppm}[suffix]
        (tmp_path / folder / f"a.{suffix}").write_bytes(content)
    image = pairs(tmp_path)
    read = (image["observation"].inputs["lr_rgb"][0].double() * 65535).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(read, deep[::2, ::2], atol=0.01)
    weights = np.array([65.738, 129.057, 25.064]) / 256
    expected = 16 / 255 + (deep[::2, ::2] / 65535 * weights).sum(-1)
    np.testing.assert_allclose(image["observation"].measurement[0, 0].numpy(), expected, atol=1e-6)


def test_tiny_and_black_images_are_measured(tmp_path: Path) -> None:
    folder = set_folder(tmp_path)
    Image.fromarray(SMALL[:8, :10]).save(folder / "tiny.png")
    Image.fromarray(SMALL).save(folder / "mean.png")
    Image.new("RGB", (24, 24)).save(folder / "black.png")
    degradation = SuperResolution("standard", 2)
    images = MeasurementDataModule(degradation, [], ["S"], root=str(tmp_path)).test_images()
    ladder = Ladder(load_backbone("bicubic", 2), None, degradation, 0.0, [Bicubic()], torch.device("cpu"))
    records = [ladder.measure(images[i], made) for i in range(len(images)) for made in ladder.estimates(images[i])]
    write_metrics(tmp_path / "metrics.csv", with_means(records))
    read = read_metrics(tmp_path / "metrics.csv")
    rows = {record.image: record for record in read}
    assert len(rows) == len(read) == 4
    assert set(rows) == {"tiny", "mean_", "black", MEAN}
    assert math.isnan(rows["tiny"].figures["ssim_y"])
    assert rows["black"].headline > 100  # infinite, but for rounding
    infinite = {"psnr_y": math.inf, "ssim_y": rows["black"].figures["ssim_y"]}
    exact = [replace(row, figures=infinite) if row.image == "black" else row for row in rows.values()]
    (*_, mean) = with_means([row for row in exact if row.image != MEAN])
    assert mean.headline == pytest.approx((rows["tiny"].headline + rows["mean_"].headline) / 2)
    assert mean.figures["ssim_y"] == pytest.approx(
        (rows["black"].figures["ssim_y"] + rows["mean_"].figures["ssim_y"]) / 2
    )
    print_ladder(read)


def test_images_that_are_nothing_but_border_are_refused_first(tmp_path: Path) -> None:
    folder = set_folder(tmp_path)
    Image.fromarray(SMALL[:4]).save(folder / "flat.png")
    module = MeasurementDataModule(SuperResolution("standard", 2), [], ["S"], root=str(tmp_path))
    with pytest.raises(DataError, match=r"flat in S is too small for x2: of 4 x 24 pixels nothing is left"):
        module.test_images()


def test_means_leave_out_what_is_exact_and_only_that() -> None:
    means = ImageMeans(("psnr", "gain", "consistency"))
    means.update(
        psnr=torch.tensor([30.0, math.inf, 32.0]),
        gain=torch.tensor([1.0, math.nan, 3.0]),
        consistency=torch.tensor([0.1, 0.2, 0.3]),
    )
    computed = {name: float(value) for name, value in means.compute().items()}
    assert computed == {"psnr": 31.0, "gain": 2.0, "consistency": pytest.approx(0.2)}
    failed = ImageMeans(("psnr", "consistency"))
    failed.update(psnr=torch.tensor([30.0, math.nan]), consistency=torch.tensor([0.1, math.inf]))
    assert all(not math.isfinite(float(value)) for value in failed.compute().values())
