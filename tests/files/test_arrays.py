"""Arrays of other programs' files, and one sentence where there are none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.files import arrays
from mcnet_lightning.files.arrays import array_names, read_array

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"  # Pillow would start Ghostscript

VALUES = np.arange(12.0).reshape(3, 4)
COMPLEX = (VALUES + 1j * VALUES[::-1]).astype(np.complex64)


@pytest.mark.parametrize("values", [VALUES, COMPLEX], ids=["real", "complex"])
def test_what_numpy_and_matlab_wrote_is_read(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "b.npz", x=values, y=-values)
    savemat(tmp_path / "c.mat", {"x": values})
    assert np.array_equal(read_array(tmp_path / "a.npy"), values)
    assert np.array_equal(read_array(f"{tmp_path}/b.npz:y"), -values)
    assert np.array_equal(read_array(tmp_path / "c.mat"), values)


def test_hdf5_and_matlab_7_3_are_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"], file["header"] = COMPLEX, "text"
        file["group/image"] = VALUES
    assert np.array_equal(read_array(f"{tmp_path}/scan.h5:kspace"), COMPLEX)
    assert np.array_equal(read_array(f"{tmp_path}/scan.h5:group/image"), VALUES)
    with pytest.raises(DataError, match=r"holds group/image, kspace; say which one"):
        read_array(tmp_path / "scan.h5")
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["x"] = np.array(list(zip(VALUES.flat, (-VALUES).flat, strict=True)), [("real", "f8"), ("imag", "f8")])
    with (tmp_path / "new.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file")
    assert np.array_equal(read_array(tmp_path / "new.mat"), (VALUES - 1j * VALUES).reshape(-1))


def test_barts_files_are_read_column_by_column(tmp_path: Path) -> None:
    COMPLEX.flatten(order="F").tofile(tmp_path / "k.cfl")
    (tmp_path / "k.hdr").write_text("# Dimensions\n3 4 1 1\n")
    assert np.array_equal(read_array(tmp_path / "k.cfl"), COMPLEX)


def test_nifti_is_read(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    nibabel.save(nibabel.Nifti1Image(VALUES, np.eye(4)), tmp_path / "v.nii.gz")
    assert np.array_equal(read_array(tmp_path / "v.nii.gz"), VALUES)


def test_pictures_are_gray_levels_of_one(tmp_path: Path) -> None:
    Image.fromarray((VALUES * 20).astype(np.uint8)).save(tmp_path / "p.png")
    Image.fromarray((VALUES * 5000).astype(np.uint16)).save(tmp_path / "deep.png")
    assert np.allclose(read_array(tmp_path / "p.png"), VALUES * 20 / 255)
    assert np.allclose(read_array(tmp_path / "deep.png"), VALUES * 5000 / 65535)


@pytest.mark.parametrize(("name", "package"), [("a.h5", "h5py"), ("a.nii.gz", "nibabel"), ("a.dcm", "pydicom")])
def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    def refuse(module: str) -> None:
        raise ImportError(module)

    monkeypatch.setattr(arrays, "import_module", refuse)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ConfigError, match=f"need {package}.*pip install {package}"):
        read_array(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"no numpy", "cannot be read"),
        ("a.npz", b"PK", "cannot be read"),
        ("a.xyz", b"", "of no kind"),
        ("a.png", EPS, "cannot"),
    ],
)
def test_damaged_and_foreign_files_are_one_sentence(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_array(tmp_path / name)


def test_pickled_objects_are_never_run(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        read_array(tmp_path / "a.npy")


@pytest.mark.parametrize("kind", [79, 8, 10, 14, 15, 19, 20])
@pytest.mark.parametrize("cell", [False, True])
def test_numbers_of_a_kind_that_matlab_does_not_have_are_refused(tmp_path: Path, kind: int, cell: bool) -> None:
    """SciPy looks such a kind up beyond the end of its table, and the process dies."""
    values = np.empty(1, object)
    values[0] = VALUES
    savemat(tmp_path / "a.mat", {"x": values if cell else VALUES, "y": VALUES})
    content = bytearray((tmp_path / "a.mat").read_bytes())
    tag = content.index(VALUES.T.tobytes()) - 8
    assert content[tag] == 9  # doubles
    content[tag] = kind
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        read_array(f"{tmp_path}/a.mat:x")


def test_arrays_beside_structures_are_read(tmp_path: Path) -> None:
    for packed in (False, True):
        savemat(tmp_path / "a.mat", {"x": COMPLEX, "s": {"inner": VALUES}, "t": "text"}, do_compression=packed)
        assert list(array_names(tmp_path / "a.mat")) == ["x", "t"]
        assert np.array_equal(read_array(f"{tmp_path}/a.mat:x"), COMPLEX)


def test_a_picture_of_which_parts_are_missing_is_refused(tmp_path: Path) -> None:
    Image.fromarray((VALUES * 20).astype(np.uint8)).save(tmp_path / "p.tif")
    content = bytearray((tmp_path / "p.tif").read_bytes())
    place = content.index(b"\x01\x01\x04\x00\x01\x00\x00\x00")  # its height
    content[place + 8] = 40
    (tmp_path / "p.tif").write_bytes(content)
    with pytest.raises(DataError, match="parts of it are missing"):
        read_array(tmp_path / "p.tif")
