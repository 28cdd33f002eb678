"""Blur kernels of files, and the decimation that the literature calls BD."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from references import relative_error, uniform
from scipy.io import savemat
from scipy.ndimage import correlate1d

from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.imaging import list_images, read_rgb
from mcnet_lightning.operators import BlurDecimation
from mcnet_lightning.operators.kernel_files import read_kernel

KERNEL = np.array([[0, 1, 2], [3, 4, 5], [0, 0, 1]], dtype=np.float64)


@pytest.mark.parametrize("suffix", [".npy", ".txt", ".png", ".npz", ".mat"])
def test_kernels_of_any_file_are_normalised(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"k{suffix}"
    if suffix == ".npy":
        np.save(path, KERNEL)
    elif suffix == ".npz":
        np.savez(path, kernel=KERNEL)
    elif suffix == ".txt":
        np.savetxt(path, KERNEL, delimiter=",")
    elif suffix == ".mat":
        savemat(path, {"kernel": KERNEL})
    else:
        Image.fromarray((KERNEL * 50).astype(np.uint8)).save(path)
    assert relative_error(read_kernel(path), torch.from_numpy(KERNEL / KERNEL.sum())) <= 1e-12


def test_one_of_several_is_taken_by_its_index(tmp_path: Path) -> None:
    cell = np.empty((1, 2), dtype=object)
    cell[0, 0], cell[0, 1] = KERNEL, np.ones((2, 4))
    savemat(tmp_path / "cell.mat", {"kernels": cell})
    assert relative_error(read_kernel(tmp_path / "cell.mat", 0), torch.from_numpy(KERNEL / KERNEL.sum())) <= 1e-15
    even = read_kernel(f"{tmp_path / 'cell.mat'}:kernels/1")
    assert even.shape == (3, 5)
    assert even[:2, :4].eq(1 / 8).all()
    assert even.sum() == 1
    with pytest.raises(DataError, match=r"holds kernels/0, kernels/1; say which"):
        read_kernel(tmp_path / "cell.mat")
    with pytest.raises(ConfigError, match="2 kernels"):
        read_kernel(tmp_path / "cell.mat", 2)


def test_what_is_no_kernel_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "zero.npy", np.zeros((3, 3)))
    with pytest.raises(ConfigError, match="sum above 0"):
        read_kernel(tmp_path / "zero.npy")


def test_levins_eight_kernels(shared: Path) -> None:
    pytest.importorskip("h5py", reason="h5py is not installed")
    path = shared / "data/kernels/Levin09.mat"
    sizes = [read_kernel(path, index).shape[0] for index in range(8)]
    assert sizes == [19, 17, 15, 27, 13, 21, 23, 23]


def test_bd_equals_scipy_with_the_border_repeated() -> None:
    image = uniform(1, 1, 12, 15)
    taps = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 1.6**2))
    blurred = image[0, 0].numpy()
    for axis in (0, 1):
        blurred = correlate1d(blurred, taps / taps.sum(), axis=axis, mode="nearest")
    assert relative_error(BlurDecimation()(image)[0, 0], torch.from_numpy(blurred[1::3, 1::3])) <= 1e-14


def test_bd_is_for_one_scale() -> None:
    with pytest.raises(ConfigError, match="scale=3, not 2"):
        BlurDecimation(2)


def test_bd_makes_the_published_set5_files_bit_for_bit(shared: Path) -> None:
    for path in list_images(shared / "sr_results/HR/Set5/x3"):
        published = read_rgb(shared / "sr_results/LRBD/Set5/x3" / path.name.replace("_HR_", "_LRBD_"))
        made = BlurDecimation()(torch.round(read_rgb(path).double() * 255)[None])[0]
        assert (torch.round(made) != torch.round(published * 255)).sum() == 0, path.name
