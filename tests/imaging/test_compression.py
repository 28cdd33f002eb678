"""What a JPEG file tells of its own errors, against the picture that it was made from."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcnet_lightning.imaging import read_picture
from mcnet_lightning.imaging.colour import LUMA_GAIN, rgb_to_luma
from mcnet_lightning.imaging.compression import is_jpeg


def photograph() -> Image.Image:
    skimage = pytest.importorskip("skimage")
    return Image.fromarray(skimage.data.astronaut()).resize((256, 256), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("quality", [95, 90, 75, 60, 30])
def test_the_noise_is_that_of_the_file(tmp_path: Path, quality: int) -> None:
    photograph().save(tmp_path / "a.png")
    photograph().save(tmp_path / "a.jpg", quality=quality)
    seen, kept = (read_picture(tmp_path / f"a.{suffix}") for suffix in ("png", "jpg"))
    error = (rgb_to_luma(seen.colour) - rgb_to_luma(kept.colour)).square().mean().sqrt() / LUMA_GAIN
    assert 0.8 < kept.jpeg_noise / float(error) < 1.6
    assert seen.jpeg_noise == 0


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("pixels", ["flat", "noise", "tiny"])
def test_every_jpeg_has_finite_noise(tmp_path: Path, mode: str, pixels: str) -> None:
    side = 5 if pixels == "tiny" else 24
    values = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    image = Image.fromarray(values if pixels != "flat" else np.full_like(values, 77)).convert(mode)
    for quality in (1, 30, 60, 100):
        image.save(path := tmp_path / f"{quality}.jpg", quality=quality)
        found = read_picture(path).jpeg_noise
        assert 0 <= found < 1
        assert is_jpeg(path)
    image.save(tmp_path / "b.png")
    assert not is_jpeg(tmp_path / "b.png")
    assert not is_jpeg(tmp_path / "none.jpg")
