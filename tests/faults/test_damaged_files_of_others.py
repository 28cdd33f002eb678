"""Files that people bring along, cut, flipped and hostile: arrays, kernels, masks, settings and certificates."""

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import in_process
import numpy as np
import pytest
from commands import damaged, ended_well, one_sentence, picture
from omegaconf import OmegaConf
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_array

from mcnet_lightning import certify
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.config.composition import conf_dir
from mcnet_lightning.errors import CertificateError, ConfigError, DataError, MCNetError
from mcnet_lightning.files.arrays import array_names, read_array
from mcnet_lightning.files.settings import fault_of
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.operators.kernel_files import read_kernel
from mcnet_lightning.operators.sampling import read_mask
from mcnet_lightning.restoration import Picture, read_picture, save_certified
from mcnet_lightning.restoration.certificate import certificate_path

pytestmark = pytest.mark.slow
CASES = 300  # of each kind
VALUES = np.random.default_rng(0).random((9, 9))
COMPLEX = (VALUES + 1j * VALUES[::-1]).astype(np.complex64)
LEVELS = (VALUES * 255).astype(np.uint8)


def matlab(path: Path, **options: Any) -> None:
    cell = np.empty((1, 2), object)
    cell[0] = [VALUES, COMPLEX]
    content = {
        "x": COMPLEX,
        "y": VALUES,
        "t": "text",
        "sparse": csc_array(np.eye(4)),
        "n": np.arange(5, dtype=np.uint8),
    }
    savemat(path, content if options.get("format") == "4" else content | {"cell": cell, "s": {"a": VALUES}}, **options)


def hdf5(path: Path) -> None:
    with pytest.importorskip("h5py", reason="h5py is not installed").File(path, "w") as file:
        file["x"] = COMPLEX
        file.create_dataset("group/y", data=VALUES, compression="gzip")


def bart(path: Path) -> None:
    COMPLEX.flatten(order="F").tofile(path.with_suffix(".cfl"))
    path.with_suffix(".hdr").write_text("# Dimensions\n9 9 1 1\n")


MAKERS: dict[str, Callable[[Path], object]] = {
    "a.npy": lambda path: np.save(path, COMPLEX),
    "a.npz": lambda path: np.savez(path, x=VALUES, y=COMPLEX),
    "packed.npz": lambda path: np.savez_compressed(path, x=VALUES),
    "a.mat": matlab,
    "packed.mat": partial(matlab, do_compression=True),
    "old.mat": partial(matlab, format="4"),
    "a.h5": hdf5,
    "a.cfl": bart,
    "a.hdr": bart,
    "a.txt": lambda path: np.savetxt(path, VALUES),
    "a.csv": lambda path: np.savetxt(path, VALUES, delimiter=","),
    **{f"a.{kind}": lambda path: Image.fromarray(LEVELS).save(path) for kind in ("png", "tif", "bmp", "jpg", "pgm")},
}


@pytest.mark.parametrize("name", MAKERS)
def test_arrays(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    MAKERS[name](path)
    file = path.with_suffix(".cfl") if name == "a.hdr" else path
    names = set(array_names(file))
    for content in damaged(path.read_bytes(), CASES):
        path.write_bytes(content)
        try:
            for each in array_names(file):
                array = read_array(f"{file}:{each}" if len(array_names(file)) > 1 else file)
                assert array.dtype.kind in "biufc"
                if name != "a.jpg":  # its height is said but once
                    assert array.size <= max(81, len(content))
        except MCNetError as error:
            one_sentence(error, DataError)
    assert names


def test_matlabs_files_are_looked_through_before_they_are_followed(tmp_path: Path) -> None:
    """Kinds of numbers that there are not: SciPy looks them up beyond the end of its table, and the process dies."""
    for options in ({}, {"do_compression": True}):
        matlab(tmp_path / "a.mat", **options)
        good, chance = (tmp_path / "a.mat").read_bytes(), random.Random(0)
        for _ in range(CASES):
            content = bytearray(good)
            content[chance.randrange(128, len(good))] = chance.randrange(256)
            (tmp_path / "a.mat").write_bytes(content)
            try:
                array_names(tmp_path / "a.mat")
            except MCNetError as error:
                one_sentence(error, DataError)


@pytest.mark.parametrize("read", [read_kernel, read_mask])
def test_kernels_and_masks(tmp_path: Path, read: Callable[[str], Any]) -> None:
    path = tmp_path / "a.npy"
    np.save(path, (VALUES > 0.5).astype(np.float64))
    for content in damaged(path.read_bytes(), CASES):
        path.write_bytes(content)
        try:
            found = read(str(path))
        except MCNetError as error:
            one_sentence(error, DataError if isinstance(error, DataError) else ConfigError)
        else:
            assert bool(found.isfinite().all())
            assert (
                float(found.sum()) == pytest.approx(1)
                if read is read_kernel
                else set(found.unique().tolist()) <= {0, 1}
            )


REPEATED = "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8))
HOSTILE = {
    "bomb": f"a: &a [x,x,x,x,x,x,x,x,x]\n{REPEATED}",
    "loop": "a: &a {b: *a}\n",
    "deep": "a: " + "[" * 5000 + "]" * 5000,
    "code": "a: !!python/object/apply:os.system ['touch executed']\n",
    "list": "- 1\n- 2\n",
    "binary": "\x00\x01\x02",
    "unclosed": "a: ${oc.env:HOME\n",
    "two": "a: 1\n---\nb: 2\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_settings(tmp_path: Path, text: str) -> None:
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "mine.yaml").write_text(text)
    done = in_process.command(tmp_path, "train", "--config-dir", str(tmp_path), "backbone=mine", "hydra.run.dir=run")
    ended_well(done, 2)
    assert not (tmp_path / "executed").exists()


def test_damaged_settings(tmp_path: Path) -> None:
    path = tmp_path / "backbone" / "mine.yaml"
    path.parent.mkdir()
    good = (conf_dir() / "data" / "folder.yaml").read_bytes()
    for content in damaged(good, CASES):
        path.write_bytes(content)
        if fault := fault_of(path):
            assert "\n" not in fault
            assert len(fault) < 400
        else:
            OmegaConf.to_container(OmegaConf.load(path))


def test_certificates_and_the_pictures_beside_them(tmp_path: Path) -> None:
    """Of a certificate or picture that was changed anywhere nothing is believed."""
    picture(0, 24).save(tmp_path / "small.png")
    small = read_picture(tmp_path / "small.png")
    large, operator = tmp_path / "large.png", BicubicDownsample(2)
    save_certified(large, Picture(operator.adjoint(small.colour)), small, operator, epsilon=1.0)
    config = compose_config("certify", [f"image={large}", f"measurement={tmp_path / 'small.png'}"])
    certify.run(config)
    for path in (certificate_path(large), large):
        good = path.read_bytes()
        for content in damaged(good):
            path.write_bytes(content)
            if content == good:
                continue
            try:
                certify.run(config)
            except MCNetError as error:
                one_sentence(error, CertificateError if path != large else (CertificateError, DataError))
            else:
                assert path != large
                assert json.loads(content) == json.loads(good)
        path.write_bytes(good)
