"""Pictures in place of a network: found by name, checked by size."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from references import relative_error

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.imaging import rgb_to_luma, write_png
from mcnet_lightning.operators import BicubicDownsample, FourierSampling, Mask
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


def scan(name: str, real: bool = False) -> dict[str, Any]:
    truth = torch.zeros(1, 2, 8, 6)
    truth[:, 0 if real else 1] = 1
    operator = FourierSampling(torch.ones(8, 6))
    return {"name": name, "dataset": "heads", "observation": Observation(truth, truth, operator, {"start": truth})}


SLICES = np.random.default_rng(0).standard_normal((2, 8, 6)) + 1j * np.arange(6)


def stored(folder: Path, kind: str) -> None:
    if kind == "stack":
        np.save(folder / "a.npy", SLICES)
    elif kind == "files":
        for number in range(2):
            np.save(folder / f"a_00{number}.npy", np.stack([SLICES[number].real, SLICES[number].imag]))
    elif kind == "npz":
        np.savez(folder / "all.npz", a_000=SLICES[0], a_001=SLICES[1])
    elif kind == "h5":
        h5py = pytest.importorskip("h5py", reason="h5py is not installed")
        with h5py.File(folder / "a.h5", "w") as file:
            file["reconstruction"] = SLICES
    else:
        nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
        volume = np.moveaxis(SLICES, 0, -1).astype(np.complex64)
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / "a.nii.gz")


@pytest.mark.parametrize("kind", ["stack", "files", "npz", "h5", "nifti"])
def test_complex_arrays_are_found_by_name_and_slice(tmp_path: Path, kind: str) -> None:
    (tmp_path / "heads").mkdir()
    stored(tmp_path / "heads", kind)
    backbone = load_backbone("precomputed", "mri", str(tmp_path))
    for number in range(2):
        w = backbone.prior_image(scan(f"a_00{number}"))
        expected = torch.from_numpy(np.stack([SLICES[number].real, SLICES[number].imag])).float()
        torch.testing.assert_close(w[0], expected, rtol=1e-6, atol=1e-6)


def test_arrays_that_cannot_be_the_image_are_one_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "magnitude.npy", np.abs(SLICES[0]))
    np.save(tmp_path / "small.npy", SLICES[0, :, :5])
    np.save(tmp_path / "lost.npy", SLICES[0] * np.nan)
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    backbone = load_backbone("precomputed", "mri", str(tmp_path))
    for name, sentence in (
        ("magnitude", "holds real numbers, float64, and the image is complex"),
        ("small", "is 8 x 5 pixels, but small has 8 x 6"),
        ("lost", "holds NaN or Inf"),
        ("objects", "cannot be read"),
        ("other", "no picture of 'other'"),
    ):
        with pytest.raises(DataError, match=sentence):
            backbone.prior_image(scan(name))
    assert backbone.prior_image(scan("magnitude", real=True))[0, 1].count_nonzero() == 0
    with pytest.raises(DataError, match="holds arrays"):
        load_backbone("precomputed", "mri", str(Path(__file__).parent)).prior_image(scan("a"))


def test_pictures_of_other_problems_are_gray_or_in_colour(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", torch.tensor([1.0, 0.5, 0.0])[:, None, None].expand(3, 4, 4))
    backbone = load_backbone("precomputed", "inpainting", str(tmp_path))
    for channels, expected in ((1, 0.299 + 0.587 * 128 / 255), (3, 0.0)):
        truth = torch.zeros(1, channels, 4, 4)
        observation = Observation(truth, truth, Mask(torch.ones(4, 4)), {"start": truth})
        w = backbone.prior_image({"name": "a", "dataset": "x", "observation": observation})
        assert w.shape == truth.shape
        assert w[0, -1, 0, 0].item() == pytest.approx(expected, abs=1e-3)
