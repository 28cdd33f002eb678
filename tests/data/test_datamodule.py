"""Loaders: batches for training, whole images for validation and test."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.data import MeasurementDataModule, NamedImage, WholeImages
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.imaging import write_png
from mcnet_lightning.problems.deblurring import Deblurring
from mcnet_lightning.problems.super_resolution import SuperResolution


@pytest.fixture
def root(tmp_path: Path) -> str:
    for part, count, size in (("train", 12, 30), ("test", 2, 21)):
        (tmp_path / part / "own").mkdir(parents=True)
        for index in range(count):
            write_png(tmp_path / part / "own" / f"{index:02}.png", torch.rand(3, size, size + 2))
    return str(tmp_path)


def module(root: str, **options: Any) -> MeasurementDataModule:
    settings = {"patch_size": 12, "patch_stride": 12, "batch_size": 8, "validation_size": 16, **options}
    data = MeasurementDataModule(SuperResolution("standard", 2), ["own"], ["own"], root, **settings)
    data.setup("fit")
    return data


def test_training_batches_hold_matching_sizes(root: str) -> None:
    batch = next(iter(module(root).train_dataloader()))
    assert batch["observation"].truth.shape == batch["observation"].inputs["upsampled"].shape == (8, 1, 12, 12)
    assert batch["observation"].measurement.shape == (8, 1, 6, 6)
    assert batch["observation"].inputs["lr_rgb"].shape == (8, 3, 6, 6)
    assert "prior_image" not in batch


def test_backbone_outputs_come_with_the_batch(root: str, tmp_path: Path) -> None:
    data = module(root, backbone=load_backbone("bicubic", 2), cache=tmp_path / "cache")
    batch = next(iter(data.train_dataloader()))
    assert torch.equal(batch["prior_image"], batch["observation"].inputs["upsampled"])


def test_a_margin_is_for_the_backbone_alone(root: str, tmp_path: Path) -> None:
    settings = {"patch_margin": 4, "patch_stride": 4}
    data = module(root, backbone=load_backbone("bicubic", 2), cache=tmp_path / "cache", **settings)
    batch = next(iter(data.train_dataloader()))
    assert batch["prior_image"].shape == batch["observation"].truth.shape == (8, 1, 12, 12)
    assert not torch.equal(batch["prior_image"], batch["observation"].inputs["upsampled"])
    assert data.patches is not None
    assert data.patches.surroundings is None
    without, usual = module(root, patch_margin=4).patches, module(root).patches
    assert without is not None
    assert usual is not None
    assert torch.equal(without.observation.truth, usual.observation.truth)


def test_a_margin_with_noise_is_refused(root: str) -> None:
    data = MeasurementDataModule(
        Deblurring(), ["own"], [], root, backbone=load_backbone("bicubic", 2), patch_size=12, patch_margin=4
    )
    with pytest.raises(ConfigError, match=r"data\.patch_margin=4: the network would see other noise"):
        data.setup("fit")


def test_every_patch_is_seen_once_per_epoch(root: str) -> None:
    data = module(root, batch_size=4)
    seen = torch.cat([batch["observation"].truth for batch in data.train_dataloader()]).mean(dim=(1, 2, 3))
    assert data.patches is not None
    assert torch.equal(seen.sort().values, data.patches.observation.truth.mean(dim=(1, 2, 3)).sort().values)


def test_fewer_patches_than_a_batch_still_train(root: str) -> None:
    assert len(list(module(root, max_patches=3).train_dataloader())) == 1


def test_only_training_needs_training_sets(root: str) -> None:
    data = MeasurementDataModule(SuperResolution("standard", 2), [], ["own"], root)
    assert len(data.test_images()) == 2
    with pytest.raises(ConfigError, match="names no training set"):
        data.setup("fit")


def test_validation_crops_are_central_and_held_out(root: str) -> None:
    data = module(root)
    (batch,) = data.val_dataloader()  # one image in ten
    assert (batch["name"], batch["observation"].truth.shape) == ("09", (1, 1, 16, 16))


def test_test_images_are_whole_and_named(root: str) -> None:
    batches = list(module(root).test_dataloader())
    assert [(batch["dataset"], batch["name"]) for batch in batches] == [("own", "00"), ("own", "01")]
    assert all(
        batch["observation"].truth.shape == (1, 1, 20, 22) for batch in batches
    )  # 21 x 23 cropped to multiples of 2


def test_test_stage_cuts_no_patches(root: str) -> None:
    data = MeasurementDataModule(SuperResolution("paper", 2), ["nowhere"], ["own"], root)
    data.setup("test")
    assert data.patches is None


@pytest.mark.parametrize("crop", [None, 10, 100])
def test_crop_larger_than_the_image_keeps_it_whole(crop: int | None) -> None:
    image = NamedImage("own", "one", torch.rand(3, 14, 18))
    truth = WholeImages([image], SuperResolution("standard", 2), crop)[0]["observation"].truth
    assert truth.shape == ((1, 1, 10, 10) if crop == 10 else (1, 1, 14, 18))


def test_measured_pairs_are_matched_by_name(tmp_path: Path) -> None:
    hr, lr = torch.randint(256, (3, 12, 16)) / 255, torch.randint(256, (3, 6, 8)) / 255
    for folder, name, image in (("hr", "a_HR_x2", hr), ("lr", "a_LRBI_x2", lr)):
        (tmp_path / folder).mkdir()
        write_png(tmp_path / folder / f"{name}.png", image)
    module = MeasurementDataModule(
        SuperResolution("standard", 2), [], ["own"], hr_folder=str(tmp_path / "hr"), lr_folder=str(tmp_path / "lr")
    )
    (image,) = list(module.test_dataloader())
    assert (image["dataset"], image["name"]) == ("own", "a_HR_x2")
    assert torch.allclose(image["observation"].inputs["lr_rgb"][0], lr, atol=1e-6)
    assert torch.allclose(image["observation"].colour[0], hr, atol=1e-6)
