"""Names: one each, short enough, and nothing in them that a terminal would obey."""

import os
from pathlib import Path

import pytest

from mcnet_lightning.cli.arguments import parse_flags
from mcnet_lightning.errors import DataError, printable
from mcnet_lightning.files.naming import RESERVED, picture_names, shortened


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.png", "b.jpg"], ["a", "b"]),
        (["x.jpg", "x.png"], ["x_jpg", "x_png"]),
        (["x.jpg", "x.png", "x_png.bmp"], ["x_jpg", "x_png_2", "x_png"]),
        (["x.jpg", "x.png", "x_jpg.bmp", "x_jpg.tif"], ["x_jpg", "x_png", "x_jpg_bmp", "x_jpg_tif"]),
        (["mean.png", "a.png"], ["mean_", "a"]),
        (["mean.png", "mean.jpg", "mean_.bmp"], ["mean_png", "mean_jpg", "mean__bmp"]),
        (["\x1b[31mred.png", "new\nline.png"], ["\ufffd[31mred", "new line"]),
        ([os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"caf\xe8.png")], ["caf\ufffd_png", "caf\ufffd_png_2"]),
    ],
)
def test_no_two_names_are_alike(files: list[str], names: list[str]) -> None:
    made = picture_names([Path(name) for name in files], RESERVED)
    assert made == names
    assert len(set(made)) == len(made)
    "".join(made).encode()


def test_long_names_are_cut_and_stay_apart() -> None:
    first, second = "x" * 240 + "a", "x" * 240 + "b"
    assert shortened(first) != shortened(second)
    assert len(shortened("東" * 80).encode()) <= 200
    assert shortened("x" * 200) == "x" * 200


def test_sentences_hold_nothing_that_a_terminal_obeys() -> None:
    hostile = "\x1b]0;title\x07\u202egnp.exe"
    assert str(DataError(f"{hostile} is no picture")) == "\ufffd]0;title\ufffd\ufffdgnp.exe is no picture"
    assert printable("été 東京 👩‍🔬\n") == "été 東京 👩‍🔬\n"
    assert str(DataError("a", "b")) == "('a', 'b')"


def test_words_that_are_no_text_are_refused_at_once() -> None:
    from mcnet_lightning.errors import ConfigError

    with pytest.raises(ConfigError, match="signs that are no text"):
        parse_flags([os.fsdecode(b"input=caf\xe9.png")])
