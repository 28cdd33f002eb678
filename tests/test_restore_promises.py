"""restore and certify: epsilon in its units, b in the middle of its levels, and failures that are none to overlook."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from composing_once import compose
from omegaconf import DictConfig
from PIL import Image

from mcnet_lightning import certify, load_backbone, restore, restore_image
from mcnet_lightning.backbones.bicubic import BicubicIdentity
from mcnet_lightning.equilibrium import Outcome, SolveStats
from mcnet_lightning.errors import CertificateError, DataError, WeightsError
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.restoration import Picture, Restorer, restorer
from mcnet_lightning.restoration.batch import Saving, restore_pictures
from mcnet_lightning.restoration.restorer import Restored

SIZE = (20, 24)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        levels = np.random.default_rng(seed).integers(60, 200, (*SIZE, 3)).astype(np.uint8)
        Image.fromarray(levels).save(tmp_path / "in" / name)
    return tmp_path


def configured(folder: Path, *words: str) -> DictConfig:
    given = [] if any(word.startswith("input=") for word in words) else [f"input={folder / 'in'}"]
    return compose("restore", ["backbone=bicubic", f"output={folder / 'out'}", *given, *words])


def restored(folder: Path, *words: str) -> None:
    restore.run(configured(folder, *words))


def certificate(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / "out" / f"{name}.json").read_text())


def certified(image: Path, measurement: Path, *words: str) -> None:
    certify.run(compose("certify", [f"image={image}", f"measurement={measurement}", *words]))


def test_epsilon_in_grey_levels_holds_per_value_in_every_channel(folder: Path) -> None:
    restored(folder, "epsilon_levels=1.5", "format=tiff")
    stated = certificate(folder, "a.tiff")
    radius = 1.5 / 255 * (SIZE[0] * SIZE[1]) ** 0.5
    assert stated["epsilon"] == pytest.approx(radius)
    assert stated["epsilon_met"]
    assert stated["consistency"]["red"] == pytest.approx(radius, rel=1e-4)  # bicubic alone is farther away
    image, lr = folder / "out" / "a.tiff", folder / "in" / "a.png"
    certified(image, lr, "epsilon_levels=1.51")
    with pytest.raises(CertificateError, match="does not meet epsilon="):
        certified(image, lr, "epsilon_levels=1.49")


def test_epsilon_of_rounding_is_that_of_the_file_s_levels(folder: Path) -> None:
    restored(folder, "epsilon=noise", "format=tiff")
    stated = certificate(folder, "a.tiff")
    assert stated["epsilon"] == pytest.approx((SIZE[0] * SIZE[1] / 12) ** 0.5 / 255)
    assert stated["consistency"]["green"] == pytest.approx(stated["epsilon"], rel=1e-4)
    tifffile.imwrite(folder / "in" / "a.png", np.float32(np.random.default_rng(0).random(SIZE)))
    (folder / "in" / "a.png").rename(folder / "in" / "f.tiff")
    restored(folder, "epsilon=noise", "format=tiff", f"input={folder / 'in' / 'f.tiff'}")
    assert certificate(folder, "f.tiff")["epsilon"] == 0


def test_a_floored_measurement_is_met_in_the_middle_of_its_levels(folder: Path) -> None:
    restored(folder, "dequantise=midpoint", "format=tiff")
    stated = certificate(folder, "a.tiff")
    assert stated["dequantise"] == "midpoint"
    assert stated["epsilon_met"]
    x = torch.from_numpy(tifffile.imread(folder / "out" / "a.tiff").astype(np.float64)).permute(2, 0, 1)
    b = torch.from_numpy(np.asarray(Image.open(folder / "in" / "a.png")) / 255.0).permute(2, 0, 1)
    moved = (BicubicDownsample(2)(x[None])[0] - b) * 255
    assert torch.allclose(moved, torch.full_like(moved, 0.5), atol=1e-3)
    image, lr = folder / "out" / "a.tiff", folder / "in" / "a.png"
    certified(image, lr, "epsilon=1e-4")  # the certificate says which b
    with pytest.raises(CertificateError, match="is for dequantise=midpoint, not none"):
        certified(image, lr, "dequantise=none")
    with pytest.raises(DataError, match="2 of 2"):  # another result than without it
        restored(folder, "format=tiff")


def test_floats_have_no_levels_to_be_in_the_middle_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite(folder / "in" / "c.tiff", np.full((20, 24), 0.5, np.float32))
    with pytest.raises(DataError, match="1 of 3"):
        restored(folder, "dequantise=midpoint", "format=tiff")
    assert "not done: c.tiff: dequantise=midpoint is for files of 8 or 16 bit" in capsys.readouterr().err


def test_nan_of_a_network_is_named_and_the_rest_of_the_folder_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bright = np.full((20, 24, 3), 250, np.uint8)
    Image.fromarray(bright).save(folder / "in" / "bright.png")
    monkeypatch.setattr(BicubicIdentity, "forward", lambda self, image: image / (image.mean() < 0.8))
    with pytest.raises(WeightsError, match="1 of 3 pictures were not made") as raised:
        restored(folder)
    assert raised.value.exit_code == 4
    assert "not done: bright.png: the output of bicubic holds NaN or Inf" in capsys.readouterr().err
    assert sorted(path.name for path in (folder / "out").glob("*.png")) == ["a.png", "b.png"]


def test_a_projection_that_misses_its_measurement_is_no_success(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restorer, "project_measurement_ball", lambda image, *_: image)
    image, lr = folder / "out" / "a.png", folder / "in" / "a.png"
    with pytest.raises(CertificateError, match=r"a\.png does not agree with its measurement \(and 1 more\): \|\|A x"):
        restored(folder)
    printed = capsys.readouterr()
    assert "failed: b.png: ||A x - b||" in printed.err
    assert "a.png: ||Ax-b||" not in printed.out  # the line of a success
    monkeypatch.undo()
    with pytest.raises(CertificateError, match="does not agree with its measurement"):  # also when it was kept
        restored(folder)
    with pytest.raises(CertificateError, match=r"a\.png does not agree with its measurement: "):
        certified(image, lr)
    with pytest.raises(CertificateError, match="does not agree with its measurement"):
        restore_image(np.asarray(Image.open(lr)), Unreached(load_backbone("bicubic", 2), None, BicubicDownsample(2)))


class Unreached(Restorer):
    """A restorer whose layer ends INCONSISTENT."""

    def __call__(self, measurement: Picture) -> Restored:
        one, ended = torch.ones(1, dtype=torch.float64), torch.tensor([int(Outcome.INCONSISTENT)])
        return replace(
            super().__call__(measurement), stats=SolveStats(torch.tensor([3]), one, ended, one[None], one, one)
        )


def test_how_a_solve_ended_is_part_of_the_certificate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unreached = Unreached(load_backbone("bicubic", 2), None, BicubicDownsample(2))
    report = restore_pictures(folder / "in", unreached, Saving(folder / "out"), {})
    assert report.made[0]["solver"] == {
        "outcome": "inconsistent",
        "evaluations": 3,
        "residual": 1.0,
        "attainable": 1.0,
    }
    assert "failed: a.png: the solve ended as INCONSISTENT; " in (said := capsys.readouterr().err)
    assert "the smallest epsilon that can be met is 1" in said
    with pytest.raises(CertificateError, match="INCONSISTENT"):
        certified(folder / "out" / "a.png", folder / "in" / "a.png")
