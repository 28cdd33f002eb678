"""Pictures in place of a network: found by name, checked by size."""

from pathlib import Path
from typing import Any

import pytest
import torch
from references import relative_error

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.imaging import rgb_to_luma, write_png
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.problems import Observation


def degraded(name: str, dataset: str = "Set5", height: int = 8, width: int = 6) -> dict[str, Any]:
    truth, b = torch.zeros(1, 1, 2 * height, 2 * width), torch.zeros(1, 1, height, width)
    return {
        "name": name,
        "dataset": dataset,
        "observation": Observation(truth, b, BicubicDownsample(2), {"start": truth}),
    }


def picture(path: Path, height: int = 16, width: int = 12) -> torch.Tensor:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = torch.randint(256, (3, height, width)) / 255
    write_png(path, image)
    return rgb_to_luma(image)[None]


@pytest.mark.parametrize("place", ["", "Set5", "x2", "Set5/x2"])
def test_is_the_luma_of_the_picture_of_that_name(tmp_path: Path, place: str) -> None:
    expected = picture(tmp_path / place / "baby_RCAN_x2.png")
    picture(tmp_path / place / "bird_RCAN_x2.png")
    backbone = load_backbone("precomputed", 2, str(tmp_path))
    assert relative_error(backbone.prior_image(degraded("baby")), expected) <= 1e-6


def test_wrong_size_missing_and_doubled_pictures_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "baby_x2.png", height=18)
    picture(tmp_path / "bird_RCAN_x2.png")
    picture(tmp_path / "bird_RDN_x2.png")
    backbone = load_backbone("precomputed", 2, str(tmp_path))
    with pytest.raises(DataError, match=r"baby_x2.png is 18 x 12 pixels, but baby at x2 has 16 x 12"):
        backbone.prior_image(degraded("baby"))
    with pytest.raises(DataError, match="no picture of 'head'"):
        backbone.prior_image(degraded("head"))
    with pytest.raises(DataError, match="all look like the picture of 'bird'"):
        backbone.prior_image(degraded("bird"))


def test_missing_folder_and_training_patches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        load_backbone("precomputed", 2, str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="whole images only"):
        load_backbone("precomputed", 2, str(tmp_path))(torch.zeros(1, 1, 4, 4))


def test_identity_follows_the_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    before = load_backbone("precomputed", 2, str(tmp_path)).spec.identity
    picture(tmp_path / "a.png")
    assert load_backbone("precomputed", 2, str(tmp_path)).spec.identity != before
