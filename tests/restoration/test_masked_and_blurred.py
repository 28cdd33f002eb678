"""Pictures with a mask or a kernel of the user: restored, made consistent and certified as saved."""

import json
from pathlib import Path

import numpy as np
import pytest
from composing_once import compose
from in_process import command
from PIL import Image

from mcnet_lightning import certify, restore
from mcnet_lightning.errors import CertificateError, ConfigError, DataError

SIZE = (24, 32)
LAYER = ("layer.weights=bundled:paper_x2", "beta=0.05")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A smooth picture in colour, whole, masked and blurred, with what did it."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    colours = [128 + 90 * np.sin(rows / 5 + shift) * np.cos(columns / 7) for shift in (0, 0.5, 1)]
    whole = np.stack(colours, axis=-1).round().astype(np.uint8)
    seen = np.random.default_rng(0).random(SIZE) < 0.5
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    blurred = sum(
        kernel[i, j] * np.roll(whole.astype(float), (i - 1, j - 1), (0, 1)) for i in range(3) for j in range(3)
    )
    Image.fromarray(whole).save(tmp_path / "whole.png")
    Image.fromarray(np.where(seen[..., None], whole, 255).astype(np.uint8)).save(tmp_path / "masked.png")
    Image.fromarray((255 * seen).astype(np.uint8)).save(tmp_path / "mask.png")
    Image.fromarray(blurred.round().astype(np.uint8)).save(tmp_path / "blurred.png")
    np.save(tmp_path / "kernel.npy", kernel)
    return tmp_path


def levels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(float)


def error(folder: Path, name: str) -> float:
    return float(np.sqrt(np.square(levels(folder / "out" / name) - levels(folder / "whole.png")).mean()))


def test_measured_pixels_stay_and_the_others_are_found(folder: Path) -> None:
    words = ("problem=inpainting", "masked.png", "out", "mask=mask.png")
    assert command(folder, "restore", *words, "suffix=_layer").returncode == 0  # a network and a layer of ours
    assert command(folder, "restore", *words, "backbone=start", "layer.weights=none").returncode == 0
    seen = levels(folder / "mask.png") > 0
    for name in ("masked.png", "masked_layer.png"):
        assert np.array_equal(levels(folder / "out" / name)[seen], levels(folder / "whole.png")[seen])
    assert error(folder, "masked_layer.png") < 0.5 * error(folder, "masked.png")
    check = ("problem=inpainting", "out/masked_layer.png", "masked.png", "mask=mask.png")
    checked = command(folder, "certify", *check)
    assert checked.returncode == 0, checked.stderr
    assert "LR-PSNR     infinite" in checked.stdout
    path = folder / "out/masked_layer.png.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"epsilon": 1.0}))
    assert command(folder, "certify", *check).returncode == 6


def test_a_picture_by_any_method_is_made_consistent(folder: Path) -> None:
    Image.fromarray((levels(folder / "whole.png") * 0.98).astype(np.uint8)).save(folder / "guess.png")
    config = compose(
        "restore",
        [
            *("problem=inpainting", "mode=fix", f"sr={folder / 'guess.png'}", f"lr={folder / 'masked.png'}"),
            *(f"output={folder / 'out'}", f"problem.mask={folder / 'mask.png'}"),
        ],
    )
    restore.run(config)
    seen = levels(folder / "mask.png") > 0
    assert np.array_equal(levels(folder / "out/guess.png")[seen], levels(folder / "whole.png")[seen])
    assert np.array_equal(levels(folder / "out/guess.png")[~seen], levels(folder / "guess.png")[~seen])


def test_blurred_pictures_are_sharpened_within_their_noise(folder: Path) -> None:
    words = [f"input={folder / 'blurred.png'}", f"output={folder / 'out'}", f"problem.kernel={folder / 'kernel.npy'}"]
    with pytest.raises(ConfigError, match="say how much, noise=LEVELS"):
        restore.run(compose("restore", ["problem=deblurring", *words]))
    restore.run(compose("restore", ["problem=deblurring", "noise=0.5", "format=tiff", *words, *LAYER]))
    stated = json.loads((folder / "out/blurred.tiff.json").read_text())
    assert stated["epsilon_met"]
    assert stated["noise"]["noise_levels"] == 0.5
    restore.run(compose("restore", ["problem=deblurring", "noise=0.5", "suffix=_8", *words, *LAYER]))
    assert error(folder, "blurred_8.png") < np.sqrt(
        np.square(levels(folder / "blurred.png") - levels(folder / "whole.png")).mean()
    )
    certify.run(
        compose(
            "certify",
            [
                *("problem=deblurring", f"image={folder / 'out/blurred.tiff'}"),
                *(f"measurement={folder / 'blurred.png'}", f"problem.kernel={folder / 'kernel.npy'}"),
            ],
        )
    )
    with pytest.raises(CertificateError, match="choose that operator"):
        certify.run(
            compose(
                "certify",
                [
                    *("problem=deblurring", f"image={folder / 'out/blurred.tiff'}"),
                    f"measurement={folder / 'blurred.png'}",
                ],
            )
        )


@pytest.mark.parametrize(
    ("words", "kind", "sentence"),
    [
        (["problem=inpainting"], ConfigError, "Give mask=FILE"),
        (["problem=inpainting", "problem.mask=kernel.npy"], DataError, "1 of 1 pictures were not made"),
        (["problem=inpainting", "problem.mask=mask.png", "backbone=srcnn"], Exception, "srcnn|SRCNN"),
        (["backbone=start"], ConfigError, "start takes 'start', which this problem does not have"),
    ],
)
def test_what_does_not_belong_together_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], kind: type[Exception], sentence: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(kind, match=sentence):
        restore.run(compose("restore", ["input=masked.png", "output=out", *words]))
