"""JPEG and noise are measurements, too: their epsilon, what is said of it, and what goes out in which format."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from composing_once import compose
from PIL import Image

from mcnet_lightning import restore
from mcnet_lightning.certify import run as certify
from mcnet_lightning.errors import ConfigError, WeightsError
from mcnet_lightning.imaging import read_picture
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.restoration import load_restorer
from mcnet_lightning.restoration.noise import denoised
from mcnet_lightning.restoration.restorer import enlarged


@pytest.fixture
def photograph(tmp_path: Path) -> Image.Image:
    skimage = pytest.importorskip("skimage")
    return Image.fromarray(skimage.data.astronaut()[:128, 160:288]).resize((48, 40), Image.Resampling.BICUBIC)


def restored(source: Path, output: Path, *words: str) -> tuple[Path, dict[str, Any]]:
    given = [f"input={source}", f"output={output}", "backbone=srcnn", "layer.weights=none", "device=cpu", *words]
    restore.run(compose("restore", given))
    (certificate,) = output.glob("*.json")
    return certificate.with_suffix(""), json.loads(certificate.read_text())


def test_the_tables_of_a_jpeg_are_its_epsilon(
    photograph: Image.Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph.save(source := tmp_path / "a.jpg", quality=60)
    made, stated = restored(source, tmp_path / "out")
    noise = read_picture(source).jpeg_noise
    rounding = 1 / np.sqrt(12) / 255
    assert stated["epsilon"] == pytest.approx(np.hypot(noise, rounding) * np.sqrt(48 * 40), rel=1e-6)
    assert stated["epsilon_met"]
    assert stated["noise"]["jpeg_levels"] == pytest.approx(noise * 255, abs=1e-6)
    assert stated["noise"]["denoised"]
    said = capsys.readouterr()
    assert said.err.count("its JPEG tables tell of errors of") == 1
    certify(compose("certify", [f"image={made}", f"measurement={source}"]))
    assert "certificate agrees" in capsys.readouterr().out
    restored(source, tmp_path / "out")
    assert "1 were there already" in capsys.readouterr().out


def test_a_number_of_epsilon_and_files_without_loss_are_left_alone(photograph: Image.Image, tmp_path: Path) -> None:
    photograph.save(tmp_path / "a.jpg", quality=60)
    photograph.save(tmp_path / "b.png")
    for name, words in (("a.jpg", ["epsilon=0"]), ("b.png", [])):
        _, stated = restored(tmp_path / name, tmp_path / name[0], *words)
        assert stated["epsilon"] == 0
        assert "noise" not in stated


def test_noise_that_is_known_is_an_epsilon(photograph: Image.Image, tmp_path: Path) -> None:
    photograph.save(source := tmp_path / "b.png")
    _, stated = restored(source, tmp_path / "out", "noise=5")
    rms = float(stated["epsilon"]) / np.sqrt(48 * 40) * 255
    assert rms == pytest.approx(np.hypot(5, 1 / np.sqrt(12)), rel=1e-6)
    assert stated["noise"] == {"noise_levels": 5.0, "denoised": True}
    with pytest.raises(ConfigError, match="two answers to one question"):
        restored(source, tmp_path / "no", "noise=5", "epsilon_levels=1")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("quality", [90, pytest.param(60, marks=pytest.mark.slow), 30])
def test_a_jpeg_is_enlarged_better_than_by_interpolation(tmp_path: Path, quality: int) -> None:
    skimage = pytest.importorskip("skimage")
    operator = BicubicDownsample(2)
    truth = torch.from_numpy(skimage.data.astronaut()[:192, 160:352].copy()).permute(2, 0, 1) / 255
    lr = (operator(truth[None].double())[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(lr).save(tmp_path / "a.jpg", quality=quality)
    measured = read_picture(tmp_path / "a.jpg")
    made = load_restorer("srcnn", 2)(measured)
    plain = enlarged(measured.colour, operator).clamp(0, 1)
    errors = [(picture - truth).square().mean() for picture in (plain, made.picture.colour.clamp(0, 1))]
    assert float(10 * torch.log10(errors[0] / errors[1])) > 0.2
    assert made.stats is None  # the layer was trained on clean LR
    assert load_restorer("srcnn", 2, epsilon=0.0)(measured).stats is not None


def test_a_network_that_knows_jpegs_sees_them_as_they_are(photograph: Image.Image, tmp_path: Path) -> None:
    photograph.save(source := tmp_path / "a.jpg", quality=30)
    robust = load_restorer("rcan", 2, backbone_weights="bundled:robust", layer="none")
    assert robust.backbone.spec.robust
    assert robust.backbone.spec.label == "RCAN (compact, robust, ours)"
    measured = read_picture(source)
    made = robust(measured)
    assert not made.denoised
    assert torch.equal(made.prior.colour, robust._made(measured.colour))
    assert load_restorer("rcan", 2, layer="none")(measured).denoised
    words = ["backbone=rcan", "backbone.weights=bundled:robust"]
    picture, stated = restored(source, tmp_path / "out", *words)
    assert "denoised" not in stated["noise"]
    certify(compose("certify", [f"image={picture}", f"measurement={source}"]))
    with pytest.raises(WeightsError, match="no backbone 'rcan_robust_x3' is bundled"):
        load_restorer("rcan", 3, backbone_weights="bundled:robust")


def test_denoising_in_bands_is_denoising() -> None:
    y = torch.rand(1, 600, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    denoiser = load_restorer("srcnn", 2)._denoiser
    with torch.no_grad():
        whole = denoiser(y[None].float())[0].double()
    assert float((denoised(y, denoiser) - whole).abs().max()) < 1e-5


@pytest.mark.parametrize(
    ("name", "format", "result"),
    [
        ("a.png", "jpeg", "a_x2.jpg"),
        ("a.png", "webp", "a_x2.webp"),
        ("a.webp", "same", "a_x2.webp"),
        ("a.JPG", "same", "a_x2.jpg"),
        ("a.bmp", "same", "a_x2.png"),
        ("a.tif", "same", "a_x2.tiff"),
    ],
)
def test_formats_and_suffixes(
    photograph: Image.Image, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, format: str, result: str
) -> None:
    photograph.save(source := tmp_path / name)
    made, stated = restored(source, tmp_path / "out", f"format={format}", "suffix=_x2")
    assert made.name == result
    assert read_picture(made).size == (80, 96)
    if format == "webp":
        assert stated["lr_psnr"] > 66
    certify(compose("certify", [f"image={made}", f"measurement={source}"]))
    assert "certificate agrees" in capsys.readouterr().out


def test_what_a_format_cannot_hold_is_refused_without_a_trace(
    photograph: Image.Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph.convert("RGBA").save(source := tmp_path / "a.png")
    from mcnet_lightning.errors import DataError

    with pytest.raises(DataError):
        restored(source, tmp_path / "deep" / "out", "format=jpeg")
    assert "transparency, which JPEG cannot hold" in capsys.readouterr().err
    assert not (tmp_path / "deep").exists()
    with pytest.raises(ConfigError, match="part of a file's name"):
        restored(source, tmp_path / "out", "suffix=a/b")
