"""The command evaluate as a user runs it: which b, which epsilon, and an exit code that hides nothing."""

import csv
from pathlib import Path

import pytest
from in_process import command
from safetensors import safe_open
from safetensors.torch import save_file

from mcnet_lightning.data import load_images
from mcnet_lightning.files.weights import ASSETS
from mcnet_lightning.imaging import write_png

LOUD = 4e5  # beyond float16 inside the network, and not at its end


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small test images, and the bundled SRCNN with activations that float16 cannot hold."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "test" / "Small").mkdir(parents=True)
    for image in load_images("photographs", "test")[:2]:
        write_png(folder / "test" / "Small" / f"{image.name}.png", image.rgb[:, 60:92, 60:92])
    with safe_open(ASSETS / "backbones" / "srcnn_x2.safetensors", framework="pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    for name in ("conv1.weight", "conv1.bias", "conv2.bias"):
        tensors[name] = tensors[name] * LOUD
    tensors["conv3.weight"] = tensors["conv3.weight"] / LOUD
    save_file(tensors, folder / "loud.safetensors", metadata)
    return folder


def test_every_row_says_which_b_and_which_radius(folder: Path) -> None:
    words = ("data.root=.", "data.test=[Small]", "protocol.dequantise=midpoint", "epsilon_levels=0.05")
    done = command(folder, "evaluate", *words, "hydra.run.dir=middle")
    assert done.returncode == 0, done.stderr
    assert "protocol paper-midpoint" in done.stdout
    assert "b: the middle of each rounding interval of LR" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    with (folder / "middle" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["protocol"] for row in rows} == {"paper-midpoint"}
    radius = 0.05 / 255 * 16  # the root of the 16 x 16 values of b
    for row in rows:
        bounded = row["method"] not in ("bicubic", "backbone")
        assert row["epsilon"] == (f"{radius:.9g}" if bounded else "")
        assert not bounded or float(row["consistency"]) <= radius + 1e-6 * 16
        assert (row["headroom"] == "") == row["method"].startswith("bicubic")


def test_nan_of_half_precision_is_an_error_and_no_table(folder: Path) -> None:
    words = ("data.root=.", "data.test=[Small]", "backbone.weights=loud.safetensors", "layer.weights=none")
    done = command(folder, "evaluate", *words, "backbone.precision=float16", "hydra.run.dir=half")
    assert done.returncode == 4
    assert "nan" not in done.stdout
    assert not (folder / "half").exists()
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "error: Small, astronaut: the output of srcnn holds NaN or Inf in backbone.precision=float16;"
    )
    assert last.endswith("(and 1 more, named above)")


def test_restore_makes_no_black_picture_of_nan(folder: Path) -> None:
    words = ("input=test/Small", "output=out", "backbone.weights=loud.safetensors", "backbone.precision=float16")
    done = command(folder, "restore", *words)
    assert done.returncode == 4
    assert not list((folder / "out").glob("*.png"))
    assert "nan" not in done.stdout + done.stderr.replace("NaN", "")
    assert "not done: camera.png: the output of srcnn holds NaN or Inf" in done.stderr
