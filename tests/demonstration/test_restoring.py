"""What the demo page does with an upload, without the page: the command's result, views of it, one sentence."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from omegaconf import DictConfig
from PIL import Image

from mcnet_lightning import demo, restore
from mcnet_lightning.build import build_epsilon
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.config.composition import composing
from mcnet_lightning.demonstration.restoring import Choice, Demonstrator, _words, summary
from mcnet_lightning.demonstration.serving import example_pictures, is_loopback
from mcnet_lightning.demonstration.views import displayed, error_map, magnified
from mcnet_lightning.equilibrium.epsilon import UNITS, Epsilon, Unit
from mcnet_lightning.errors import ConfigError, DataError, MCNetError
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.restoration import certify
from mcnet_lightning.restoration.verification import differences

CHEAP = Choice("bicubic", 2, "truncated", 0.0)


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    """A small piece of a photograph."""
    from skimage import data

    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "astronaut.png"
    Image.fromarray(data.astronaut()[:96, 160:272]).resize((56, 48), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_files_are_those_of_the_command(upload: Path, folder: Path, tmp_path: Path) -> None:
    shown = Demonstrator(1.0, "cpu")(upload, Choice("srcnn", 2, "symmetric", 0.01), folder)
    assert [path.name for path in shown.files] == [
        f"astronaut_x2{suffix}{extra}" for suffix in (".png", ".tiff") for extra in ("", ".json")
    ]
    for format, suffix in (("png8", "png"), ("tiff", "tiff")):
        words = [f"input={upload}", f"output={tmp_path / format}", f"format={format}", "epsilon=0.01", "device=cpu"]
        restore.run(compose_config("restore", [*words, "operator.boundary=symmetric"]))
        ours, commands = folder / f"astronaut_x2.{suffix}", tmp_path / format / f"astronaut.{suffix}"
        assert ours.read_bytes() == commands.read_bytes()
        stated = json.loads((folder / f"{ours.name}.json").read_text())
        of_command = json.loads((tmp_path / format / f"{commands.name}.json").read_text())
        assert stated == shown.certificates[format]
        assert set(of_command) - set(stated) == {"request"}
        own = dict.fromkeys(("file", "request", "certificate_sha256"), "")
        assert stated | own == of_command | own
        found = certify(ours, upload, BicubicDownsample(2, "symmetric"), 0.01)
        assert not differences(stated, found)


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_is_that_of_the_command(unit: Unit) -> None:
    words = _words(Choice("bicubic", 2, "truncated", 0.5, unit))
    epsilon = build_epsilon(compose_config("restore", ["input=a.png", "output=out", *words]))
    assert epsilon == Epsilon(0.0 if unit == "noise" else 0.5, unit)


def test_views_show_the_pictures_of_the_saved_file(upload: Path, folder: Path) -> None:
    shown = Demonstrator(1.0, "cpu")(upload, CHEAP, folder)
    given = np.asarray(Image.open(upload))
    for picture in (shown.lr, shown.backbone, shown.mcnet, shown.change.image, shown.residual_after.image):
        assert picture.size == (112, 96)
        assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(shown.lr)[::2, ::2], given)
    saved = tifffile.imread(folder / "astronaut_x2.tiff").astype(np.float64)
    np.testing.assert_array_equal(np.asarray(shown.mcnet), (saved.clip(0, 1) * 255).round())
    assert shown.residual_before.largest > 1
    assert shown.residual_after.largest < 1e-3
    assert shown.residual_after.white == shown.residual_before.white
    assert not np.asarray(shown.residual_after.image).any()


def test_it_tells_what_it_is_at(upload: Path, folder: Path) -> None:
    told: list[tuple[float, str]] = []
    Demonstrator(0.004, "cpu")(
        upload,
        Choice("srcnn", 2, "truncated", 0.0, shrink=True),
        folder,
        lambda share, words: told.append((share, words)),
    )
    shares, words = zip(*told, strict=True)
    assert list(shares) == sorted(shares)
    assert 0 == shares[0] < shares[-1] < 1
    stages = ("reading", "shrinking", "the network", "the layer", "writing the PNG", "writing the TIFF", "drawing")
    assert [
        next(stage for stage in stages if each.startswith(stage))
        for each in dict.fromkeys(w.split(":")[0] for w in words)
    ] == list(stages)
    assert sum(each.startswith("the layer") for each in words) > 3


def test_gray_and_alpha_are_shown_too(tmp_path: Path, folder: Path) -> None:
    levels = np.random.default_rng(0).integers(60, 200, (20, 24, 2)).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "gray.png")
    shown = Demonstrator(1.0, "cpu")(tmp_path / "gray.png", CHEAP, folder)
    assert shown.mcnet.mode == "RGB"
    assert "alpha" in shown.certificates["tiff"]["consistency"]


def test_summary_says_what_the_certificates_say(upload: Path, folder: Path) -> None:
    demonstrator = Demonstrator(1.0, "cpu")
    exact = demonstrator(upload, CHEAP, folder)
    assert exact.sentence.startswith("**The float TIFF agrees with your picture within epsilon=0:**")
    assert "8 bit are too coarse for epsilon=0" in exact.sentence
    assert "No layer took part" in exact.sentence
    loose = demonstrator(upload, Choice("srcnn", 2, "truncated", 0.5), folder)
    assert "meets epsilon=0.5, too" in loose.sentence
    assert "No layer took part" not in loose.sentence
    warned = {name: entry | {"warning": "it fits badly"} for name, entry in exact.certificates.items()}
    assert summary(warned, 30.0).endswith("**Take care:** it fits badly.")


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"", "photo.png is empty; remove or replace it"),
        (b"no picture at all", r"photo.png cannot be read as an image \(cannot identify image file 'photo.png'\)"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "photo.png cannot be read as an image"),
    ],
)
def test_what_is_no_picture_gets_one_sentence_without_our_paths(
    tmp_path: Path, folder: Path, content: bytes, answer: str
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    (long / "photo.png").write_bytes(content)
    with pytest.raises(DataError, match=answer) as caught:
        Demonstrator(1.0)(long / "photo.png", CHEAP, folder)
    assert "xxx" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(folder.iterdir())


def test_limits_and_missing_choices_are_answered(upload: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="there is no picture yet"):
        Demonstrator(1.0)(None, CHEAP, folder)
    with pytest.raises(
        DataError, match=r"astronaut.png has 56 x 48 pixels, more than the 0.0025 million that this page enlarges by 2"
    ):
        Demonstrator(0.01)(upload, CHEAP, folder)
    with pytest.raises(ConfigError, match="'epsilon' takes a number, at least 0"):
        Demonstrator(1.0)(upload, Choice("bicubic", 2, "truncated", -1.0), folder)
    monkeypatch.setattr(
        "mcnet_lightning.demonstration.restoring.restore_measurement", lambda *_: (_ for _ in ()).throw(MemoryError)
    )
    with pytest.raises(MCNetError, match="not enough memory for this picture"):
        Demonstrator(1.0)(upload, CHEAP, folder)


def test_composes_while_a_command_runs(upload: Path, folder: Path) -> None:
    from hydra.core.global_hydra import GlobalHydra

    with composing("demo"):
        running = GlobalHydra.instance().hydra
        assert running is not None
        Demonstrator(1.0)(upload, CHEAP, folder)
        assert GlobalHydra.instance().hydra is running
    assert GlobalHydra.instance().hydra is None


def test_error_map_is_black_at_zero_and_yellow_at_its_peak() -> None:
    difference = torch.zeros(3, 4, 5, dtype=torch.float64)
    difference[1, 2, 3] = -0.2
    found = error_map(difference, (8, 10), peak=0.1)
    pixels = np.asarray(found.image)
    assert found.largest == pytest.approx(51)
    assert found.white == pytest.approx(25.5)
    assert (pixels[4:6, 6:8] == [255, 255, 0]).all()
    assert pixels.any(axis=-1).sum() == 4
    assert error_map(difference * 1e-9, (4, 5)).white == 1.0  # rounding is not magnified


def test_display_clips_and_magnifies() -> None:
    gray = torch.tensor([[[-0.5, 0.5, 1.5]]], dtype=torch.float64)
    assert np.asarray(displayed(magnified(gray, (2, 6))))[1, :, 2].tolist() == [0, 0, 128, 128, 255, 255]


def test_examples_are_small_photographs(tmp_path: Path) -> None:
    paths = example_pictures(tmp_path)
    assert [path.name for path in paths] == ["astronaut.png", "camera.png", "chelsea.png"]
    with Image.open(paths[0]) as picture:
        assert picture.size == (128, 128)


@pytest.mark.parametrize(
    ("host", "alone"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)]
)
def test_only_loopback_is_private(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


def configured(*words: str) -> DictConfig:
    return compose_config("demo", list(words))


def test_serves_this_machine_alone_unless_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert configured().host == "127.0.0.1"
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setattr(sys, "argv", ["mcnet-demo"])
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == ConfigError.exit_code
    assert "needs the package gradio; install it with pip install 'mcnet-lightning[demo]'" in capsys.readouterr().err


def test_rounding_is_a_unit_that_needs_no_number() -> None:
    assert "epsilon=noise" in _words(Choice("srcnn", 2, "truncated", None, "noise"))
    assert "epsilon=null" in _words(Choice("srcnn", 2, "truncated", None, "rms"))
    assert "epsilon_rms=0.5" in _words(Choice("srcnn", 2, "truncated", 0.5, "rms"))
