"""What restore promises, on an embedded photograph: every kind of file, tiles, too little memory, the API."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from composing_once import compose
from PIL import Image, ImageOps
from skimage import data

from mcnet_lightning import load_restorer, restore, restore_image
from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.backbones.tiling import Tiling
from mcnet_lightning.errors import DataError
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.restoration import Picture, Restorer, agreement


def cat(height: int = 72, width: int = 96) -> np.ndarray:
    """(height, width, 3) uint8."""
    return data.chelsea()[60 : 60 + height, 100 : 100 + width].copy()


def lr_psnr(made: np.ndarray, given: np.ndarray) -> float:
    """Of arrays (H, W, C) and (h, w, C) in [0, 1], with torch's own bicubic; alpha and colour alike."""
    image = torch.from_numpy(made.astype(np.float64)).permute(2, 0, 1)[None]
    shrunk = F.interpolate(image, size=given.shape[:2], mode="bicubic", antialias=True)[0].permute(1, 2, 0)
    return float(-10 * np.log10(np.square(shrunk.numpy() - given).mean()))


def save_every_kind(folder: Path) -> dict[str, np.ndarray]:
    """One photograph as files of every kind; what other libraries read from them, (h, w, C) in [0, 1]."""
    folder.mkdir()
    image, deep = Image.fromarray(cat()), cat().astype(np.uint16) * 257 - 30
    exif = image.getexif()
    exif[0x0112] = 6
    veil = Image.fromarray(np.linspace(0, 255, 72 * 96).reshape(72, 96).astype(np.uint8))
    image.save(folder / "png.png")
    image.save(folder / "jpeg.jpg", quality=90)
    image.save(folder / "turned.jpg", quality=90, exif=exif)
    image.save(folder / "bmp.bmp")
    image.save(folder / "webp.webp", lossless=True)
    image.save(folder / "tiff.tif")
    image.quantize(64).save(folder / "palette.png")
    image.convert("L").save(folder / "gray.png")
    Image.merge("RGBA", [*image.split(), veil]).save(folder / "alpha.png")
    tifffile.imwrite(folder / "deep.tif", deep, photometric="rgb")
    expected = {}
    for path in folder.iterdir():
        if path.name == "deep.tif":
            expected[path.stem] = deep / 65535
            continue
        with Image.open(path) as opened:
            read = ImageOps.exif_transpose(opened)
        pixels = np.asarray(read.convert("RGB") if read.mode == "P" else read) / 255
        expected[path.stem] = pixels[..., None] if pixels.ndim == 2 else pixels
    return expected


def test_every_kind_of_file_is_restored_consistently(tmp_path: Path) -> None:
    expected = save_every_kind(tmp_path / "in")
    words = [f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}", "backbone=bicubic", "format=tiff"]
    restore.run(compose("restore", words))
    assert expected["turned"].shape == (96, 72, 3)
    for name, given in expected.items():
        made = tifffile.imread(tmp_path / "out" / f"{name}.tiff")
        made = made[..., None] if made.ndim == 2 else made
        assert made.shape == (2 * given.shape[0], 2 * given.shape[1], given.shape[2]), name
        found = lr_psnr(made, given)
        assert found > (35 if name in ("jpeg", "turned") else 120), name  # JPEGs agree as far as their tables tell
        stated = json.loads((tmp_path / "out" / f"{name}.tiff.json").read_text())
        if name != "alpha":
            assert stated["lr_psnr"] == pytest.approx(found, abs=1e-3)
        assert stated["epsilon_met"]


# ---------------------------------------------------------------------------------------- three lines of Python


def test_three_lines_of_python() -> None:
    restorer = load_restorer("rcan", scale=4)
    array, floats = cat(16, 20), cat(16, 20) / 255.0
    made = restore_image(array, restorer)
    of_image = restore_image(Image.fromarray(array), restorer)
    of_tensor = restore_image(torch.from_numpy(array).permute(2, 0, 1), restorer)
    exact = restore_image(floats, restorer)
    assert made.shape == (64, 80, 3)
    np.testing.assert_array_equal(made, np.asarray(of_image))
    np.testing.assert_array_equal(made, of_tensor.permute(1, 2, 0).numpy())
    plain = (exact.clip(0, 1) * 255).round() / 255
    assert lr_psnr(exact, floats) > 200
    assert lr_psnr(made / 255, floats) > lr_psnr(plain, floats) + 3


# ---------------------------------------------------------------------------------------- tiles


@pytest.mark.parametrize(("name", "largest", "mean"), [("srcnn", 1e-5, 1e-6), ("rdn", 1e-5, 1e-6), ("rcan", 0.2, 2e-3)])
def test_a_tiled_photograph_equals_the_whole(name: str, largest: float, mean: float) -> None:
    """RCAN's channel attention averages over a tile, and so depends on it; its picture agrees with b all the same."""
    operator = BicubicDownsample(2)
    lr = Picture(torch.from_numpy(cat(80, 112).transpose(2, 0, 1) / 255))
    whole, tiles = (Restorer(load_backbone(name, 2), None, operator, 0.0, Tiling(size, 16))(lr) for size in (256, 48))
    difference = tiles.picture.colour - whole.picture.colour
    assert difference.abs().max() < largest
    assert difference.square().mean().sqrt() < mean
    assert agreement(tiles.picture, lr, operator).largest < 1e-12


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("could not create a primitive"),
        RuntimeError("std::bad_alloc"),
    ],
    ids=["python", "cuda", "cpu", "onednn", "c++"],
)
def test_a_photograph_too_large_for_memory_is_made_in_smaller_tiles(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorer = Restorer(load_backbone("rdn", 2), None, BicubicDownsample(2), tiling=Tiling(128, 16))
    lr = Picture(torch.from_numpy(cat(80, 112).transpose(2, 0, 1) / 255))
    expected, real, tried = restorer(lr).picture.colour, restorer.backbone.picture, []

    def limited(tile: torch.Tensor) -> torch.Tensor:
        tried.append(max(tile.shape[-2:]))
        if tried[-1] > 80:
            raise error
        return real(tile)

    monkeypatch.setattr(restorer.backbone, "picture", limited)
    torch.testing.assert_close(restorer(lr).picture.colour, expected, rtol=0, atol=1e-5)
    assert tried[0] == 112
    assert tried[-1] <= 80


SHORT_OF_MEMORY = """
import resource, torch
from skimage import data
from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.backbones.tiling import Tiling, tiled_picture

torch.set_num_threads(1)
backbone = load_backbone("rdn", 2)
image = torch.from_numpy(data.astronaut()[:384, :384]).permute(2, 0, 1)[None].float() / 255
with torch.no_grad():
    whole, real, sizes = backbone.picture(image), backbone.picture, []
    backbone.picture = lambda tile: sizes.append(tile.shape[-1]) or real(tile)
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM * 2**20,) * 2)
    tiles = tiled_picture(backbone, image, Tiling(512, 16))
print(sizes[0], sizes[-1], float((tiles - whole).abs().max()))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and limits the address space")
def test_tiles_shrink_where_the_system_really_refuses_memory() -> None:
    """The whole needs several hundred MB more than the process has; it may take 150."""
    code = SHORT_OF_MEMORY.replace("ROOM", "150")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-500:]
    first, last, difference = map(float, done.stdout.split())
    assert first == 384
    assert last < 384
    assert difference < 1e-5
    refused = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY.replace("ROOM", "1")], capture_output=True, text=True, timeout=600
    )
    assert "MCNetError: rdn does not fit into memory even in tiles of 32 pixels" in refused.stderr


def test_memory_that_ends_elsewhere_costs_one_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mcnet_lightning.restoration import batch, save_certified

    def limited(path: Path, *rest: Any, **named: Any) -> dict[str, Any]:
        if path.stem == "a":
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")
        return save_certified(path, *rest, **named)

    monkeypatch.setattr(batch, "save_certified", limited)
    (tmp_path / "in").mkdir()
    for name in "ab":
        Image.fromarray(cat(24, 32)).save(tmp_path / "in" / f"{name}.png")
    with pytest.raises(DataError, match="1 of 2 pictures were not made"):
        restore.run(compose("restore", [f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}", "backbone=bicubic"]))
    assert [line for line in capsys.readouterr().err.splitlines() if "not" in line] == [
        "not done: a.png: not enough memory"
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"b.png", "b.png.json"}
