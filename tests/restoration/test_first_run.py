"""What a first run says: which picture is at work, how far the result agrees and why not further, what is refused."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from composing_once import compose
from PIL import Image

from mcnet_lightning import restore
from mcnet_lightning.config.validation import check_complete
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.restoration.progress import Lines, picture_size, spell
from mcnet_lightning.restoration.wording import reached


def saved(**entries: Any) -> dict[str, Any]:
    """A certificate of 100 x 100 measured values, for a root mean square of `levels` grey levels in each channel."""
    levels = entries.pop("levels", 0.04)
    rms = levels / 255
    return {
        "lr_psnr": -20 * np.log10(rms),
        "consistency": dict.fromkeys(("red", "green", "blue", "luma"), rms * 100),
        "epsilon": 0.0,
        "epsilon_met": False,
        "format": "png8",
        "bit_depth": 8,
        "clipped": 0.0,
        **entries,
    }


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (saved(), "agrees with its measurement to 76 dB, within 8-bit rounding"),
        (saved(lr_psnr=None), "agrees with its measurement exactly"),
        (saved(epsilon_met=True), "agrees with its measurement to 76 dB"),
        (saved(epsilon=0.1, epsilon_met=True), "agrees with its measurement to 76 dB, within epsilon=0.1"),
        (saved(levels=1.0, epsilon=0.35), "to 48 dB, within 8-bit rounding beside epsilon=0.35"),
        (saved(levels=2.0, clipped=0.012), "1.2 % of its values lie beyond black or white and are cut off"),
        (saved(levels=2.0), "to 42 dB, more than 8-bit rounding leaves: format=tiff is finer"),
        (saved(format="png16", bit_depth=16, levels=0.001), "to 108 dB, within 16-bit rounding"),
    ],
)
def test_rounding_is_told_from_clipping_and_from_a_coarse_format(certificate: dict[str, Any], words: str) -> None:
    assert words in reached(certificate)


def test_a_line_for_each_picture_and_the_time_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / f"{name}.png" for name in ("one", "two", "three")]
    for path in paths:
        Image.new("RGB", (40, 30)).save(path)
    with Lines(paths, "restoring", 2) as lines:
        for index in range(len(paths)):
            lines.start(index)
            lines.tile(1, 1)
            lines.finish(True)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "restoring 1 of 3, one.png, 40 x 30 to 80 x 60"
    assert said[1] == "one.png took 1 s, about 1 s left"
    assert said[2:] == [
        "restoring 2 of 3, two.png, 40 x 30 to 80 x 60, about 1 s left",
        "restoring 3 of 3, three.png, 40 x 30 to 80 x 60, about 1 s left",
    ]


def test_time_left_goes_with_the_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    clock = iter([0.0, 10.0, 40.0, 40.0])
    monkeypatch.setattr("mcnet_lightning.restoration.progress.time.monotonic", lambda: next(clock))
    for name, side in (("small", 10), ("large", 20)):
        Image.new("L", (side, side)).save(tmp_path / f"{name}.png")
    with Lines([tmp_path / "small.png", tmp_path / "large.png"], "restoring") as lines:
        lines.start(0)
        lines.finish(True)
        lines.start(1)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "small.png took 30 s, about 2 min left",
        "restoring 2 of 2, large.png, 20 x 20, about 2 min left",
    ]
    assert [spell(seconds) for seconds in (0.2, 40, 99.6, 600, 6000)] == ["1 s", "40 s", "2 min", "10 min", "1.7 h"]


def test_sizes_are_those_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    (tmp_path / "none.png").write_bytes(b"no picture")
    Image.new("L", (40, 30)).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: whole.index(b"IDAT") + 4])  # what a look at the head never reaches
    assert picture_size(tmp_path / "cut.png") == (40, 30)
    assert picture_size(tmp_path / "turned.jpg") == (30, 40)
    assert picture_size(tmp_path / "none.png") is None


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """Edges and texture, sharp to the pixel, as no blur of 1.6 pixels would leave them."""
    rows, columns = np.mgrid[:48, :48]
    levels = 60 + 120 * ((rows // 8 + columns // 8) % 2) + 8 * np.random.default_rng(0).standard_normal((48, 48))
    Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_an_operator_that_makes_a_pattern_is_refused_unless_forced(
    photograph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = photograph.parent / "out"
    words = [f"input={photograph}", f"output={out}", "backbone=bicubic", "operator=blur", "layer.weights=none"]
    with pytest.raises(DataError, match="1 of 1 pictures were not made"):
        restore.run(compose("restore", words))
    said = capsys.readouterr().err
    assert re.search(r"blur.* does not fit: to agree with it, the picture would change by \d+ grey levels", said)
    assert "force=true" in said
    assert not out.exists()
    restore.run(compose("restore", [*words, "force=true"]))
    assert (out / "photo.png").is_file()
    restore.run(compose("restore", [*words[:1], f"output={out}_2", "backbone=bicubic", "layer.weights=none"]))


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["output=o", "input=phto.png"], "there is no file or folder phto.png; did you mean photo.png?"),
        (["output=o", "input=empty"], "empty holds no pictures"),
        (["output=photo.png", "input=photo.png"], "output=photo.png: this is a file, and results need a folder"),
        (["output=o"], "mode=restore needs input=...: picture or folder"),
        (["output=o", "mode=fix", "sr=photo.png", "lr=nowhere"], "lr: there is no file or folder nowhere"),
        (["output=o", "mode=fix", "input=photo.png"], "input=photo.png has no place in mode=fix"),
    ],
)
def test_paths_are_checked_with_the_words(
    photograph: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], answer: str
) -> None:
    monkeypatch.chdir(photograph.parent)
    Path("empty").mkdir()
    with pytest.raises(ConfigError, match=re.escape(answer)):
        check_complete(compose("restore", words), {})
