"""Scans by name and of people's own files: kinds, parts and groups."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcnet_lightning.data import load_images
from mcnet_lightning.data.arrays import image_of, read_scans
from mcnet_lightning.data.registry import CHECKSUMS
from mcnet_lightning.data.scans import SCANS, smooth_phase
from mcnet_lightning.data.sources import list_files, named_images
from mcnet_lightning.errors import DataError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not (SHARED / "mri").is_dir(), reason="the scans of ../shared/data are not there")


def test_the_embedded_hearts_are_complex_slices_with_a_smooth_phase() -> None:
    parts = {part: load_images("cardiac20", part, None, "complex") for part in ("train", "validation", "test")}
    assert [len(images) for images in parts.values()] == [14, 2, 4]
    assert len({image.name for images in parts.values() for image in images}) == 20
    for images in parts.values():
        for image in images:
            assert image.rgb.shape == (2, 128, 128)
            assert image.rgb.norm(dim=0).max().item() == pytest.approx(1)
    heart = parts["test"][0]
    number = int(heart.name.removeprefix("heart"))
    values = torch.complex(*heart.rgb.double()) * torch.exp(-1j * torch.from_numpy(smooth_phase((128, 128), number)))
    assert values.imag.abs().max() < 1e-6
    assert np.abs(np.diff(smooth_phase((128, 128), number), axis=0)).max() < 0.5
    assert (CHECKSUMS / "cardiac20.LICENSE.txt").read_text().count("MIT License") == 1


def test_the_embedded_hearts_serve_other_kinds() -> None:
    (body, *_), (picture, *_) = (load_images("cardiac20", "test", None, kind) for kind in ("hounsfield", "picture"))
    assert body.rgb.shape == (1, 128, 128)
    assert body.rgb.min() == -1000
    assert picture.rgb.shape == (3, 256, 256)
    means = torch.nn.functional.avg_pool2d(picture.rgb[:1], 2)
    torch.testing.assert_close((body.rgb + 1000) / 2000, means, rtol=0, atol=1e-6)


def test_every_set_by_name_has_a_configuration_and_checksums() -> None:
    for name, known in SCANS.items():
        assert (Path(__file__).parents[2] / "conf" / "data" / f"{name}.yaml").is_file()
        if known.source is not None:
            lines = (CHECKSUMS / f"{name}.sha256").read_text().splitlines()
            assert len(lines) == sum(len(part) for part in known.parts.values())
            assert len({line[66:] for line in lines}) == len(lines)
        positions = [position for part in known.parts.values() for position in part]
        assert len(set(positions)) == len(positions)


def test_a_set_without_a_part_or_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="brain50 is a test set"):
        load_images("brain50", "train", None, "complex")
    with pytest.raises(DataError, match=r"no folder .*mri/siat200"):
        load_images("siat", "train", str(tmp_path), "complex")
    with pytest.raises(DataError, match=r"data\.root alone"):
        load_images("cardiac", "train", None, "complex")


@needs_shared
def test_heads_are_in_one_part_each() -> None:
    heads = {
        part: {image.group for image in load_images("siat", part, str(SHARED), "complex")}
        for part in ("validation", "test")
    }
    assert heads == {"validation": {"head5"}, "test": {"head6", "head7"}}


@needs_shared
def test_the_heads_are_those_of_the_recipe() -> None:
    z = np.load(SHARED / "mri" / "siat200" / "siat200_complex.npz")
    q = (z["lo"][130].astype("u2") | z["hi"][130].astype("u2") << 8).view("i2")
    x = ((q[0] + 1j * q[1]) * z["scale"][130])[7:263]
    image = load_images("siat", "validation", str(SHARED), "complex")[10]
    assert image.name == "lsq131"
    np.testing.assert_allclose(image.rgb.numpy(), np.stack([x.real, x.imag]) / abs(x).max(), atol=1e-6)


def test_slices_of_own_files_are_images_of_one_group(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).standard_normal((3, 8, 9)) * (1 + 1j)
    volume[1] = 0
    np.save(tmp_path / "head.npy", volume)
    np.savez(tmp_path / "single.npz", image=volume[0])
    Image.fromarray(np.full((8, 9), 51, np.uint8)).save(tmp_path / "gray.png")
    images = named_images("mine", list_files(tmp_path, "complex"), "complex")
    assert [(image.name, image.group) for image in images] == [
        ("gray", ""),
        ("head_000", "head"),
        ("head_002", "head"),
        ("single", ""),
    ]
    assert torch.equal(images[1].rgb, images[3].rgb)
    assert torch.equal(images[0].rgb, torch.stack([torch.ones(8, 9), torch.zeros(8, 9)]))
    for image in images:
        assert image.rgb.norm(dim=0).max().item() == pytest.approx(1)


def test_hounsfield_units_stay_as_they_are(tmp_path: Path) -> None:
    values = np.array([[-1024, 3071], [0, 40]], np.int16)
    np.save(tmp_path / "slice.npy", values)
    ((_, image),) = read_scans(tmp_path / "slice.npy", "hounsfield")
    assert torch.equal(image[0], torch.from_numpy(values).float())


def test_numbers_that_mean_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="NaN"):
        image_of(np.array([[np.nan, 1.0]]), "complex")
    with pytest.raises(DataError, match="complex numbers"):
        image_of(np.array([[1j, 1.0]]), "hounsfield")
    with pytest.raises(DataError, match="outside"):
        image_of(np.array([[0.0, 255.0]]), "picture")


def test_fastmris_kspace_of_one_coil_is_transformed_back(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    image = np.random.default_rng(0).standard_normal((2, 6, 8, 2)) @ np.array([1, 1j])
    shifted = np.fft.ifftshift(image, axes=(1, 2))
    kspace = np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(1, 2))
    with h5py.File(tmp_path / "knee.h5", "w") as file:
        file["kspace"] = kspace.astype(np.complex64)
    (_, first), _ = read_scans(tmp_path / "knee.h5", "complex")
    found = first[0].numpy() + 1j * first[1].numpy()
    np.testing.assert_allclose(found, image[0] / abs(image[0]).max(), atol=1e-6)


def test_slices_of_nifti_lie_along_the_last_axis(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = np.random.default_rng(0).integers(1, 99, (5, 6, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "body.nii.gz")
    scans = list(read_scans(tmp_path / "body.nii.gz", "hounsfield"))
    assert len(scans) == 3
    np.testing.assert_array_equal(scans[2][1][0].numpy(), volume[:, :, 2])
