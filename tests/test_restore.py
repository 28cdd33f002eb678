"""The commands restore and certify on folders, good and hostile, end to end with a backbone that costs nothing."""

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from composing_once import compose
from omegaconf import DictConfig
from PIL import Image

from mcnet_lightning import certify, restore
from mcnet_lightning.errors import CertificateError, ConfigError, DataError
from mcnet_lightning.operators import BicubicDownsample

SIZE = (20, 24)


def picture(seed: int = 0, size: tuple[int, int] = SIZE, channels: int = 3) -> Image.Image:
    levels = np.random.default_rng(seed).integers(60, 200, (*size, channels)).astype(np.uint8)
    return Image.fromarray(levels[..., 0] if channels == 1 else levels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for index, name in enumerate(("a.png", "b.png")):
        picture(index).save(tmp_path / "in" / name)
    return tmp_path


def configured(folder: Path, *words: str) -> DictConfig:
    given = list(words) if any(word.startswith("output=") for word in words) else [f"output={folder / 'out'}", *words]
    if "mode=fix" not in words:
        given = ["backbone=bicubic", *given]
        given += [] if any(word.startswith("input=") for word in words) else [f"input={folder / 'in'}"]
    return compose("restore", given)


def restored(folder: Path, *words: str) -> list[str]:
    """Runs the command; names of what lies in the output folder."""
    restore.run(configured(folder, *words))
    return sorted(path.name for path in (folder / "out").iterdir())


def certificate(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / "out" / f"{name}.json").read_text())


def values_of(path: Path, format: str) -> np.ndarray:
    """(H, W, 3), float64, by other readers than ours."""
    if format == "png16":
        from kornia_rs.io import read_image_png_u16

        return np.asarray(read_image_png_u16(str(path), "rgb")) / 65535.0
    return tifffile.imread(path).astype(np.float64) if format == "tiff" else np.asarray(Image.open(path)) / 255.0


@pytest.mark.parametrize(("format", "suffix"), [("png8", "png"), ("png16", "png"), ("tiff", "tiff")])
def test_certificate_equals_a_recomputation_from_the_files(folder: Path, format: str, suffix: str) -> None:
    names = restored(folder, f"format={format}")
    assert names == sorted(f"{stem}.{suffix}{extra}" for stem in "ab" for extra in ("", ".json"))
    stated = certificate(folder, f"a.{suffix}")
    x = torch.from_numpy(values_of(folder / "out" / f"a.{suffix}", format)).permute(2, 0, 1)
    b = torch.from_numpy(np.asarray(Image.open(folder / "in" / "a.png")) / 255.0).permute(2, 0, 1)
    error = torch.nn.functional.interpolate(x[None], scale_factor=0.5, mode="bicubic", antialias=True)[0] - b
    for name, channel in zip(("red", "green", "blue"), error, strict=True):
        assert stated["consistency"][name] == pytest.approx(float(channel.norm()), rel=1e-6, abs=1e-9)
    assert stated["lr_psnr"] == pytest.approx(float(-10 * error.square().mean().log10()), abs=1e-5)
    assert not stated["epsilon_met"] or format != "png8"
    assert stated["epsilon_met"] or format != "tiff"
    assert stated["lr_psnr"] > {"png8": 69, "png16": 75, "tiff": 120}[format]
    assert stated["measurement"]["sha256"] != stated["sha256"]


def test_consistent_rounding_is_better_than_plain_rounding(folder: Path) -> None:
    restored(folder)
    ours = certificate(folder, "a.png")
    restored(folder, "rounding=nearest", "overwrite=true")
    plain = certificate(folder, "a.png")
    assert (ours["rounding"], plain["rounding"]) == ("consistent", "nearest")
    assert ours["lr_psnr"] > plain["lr_psnr"] + 3


def test_says_how_far_the_saved_pixels_agree(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    restored(folder)
    said = capsys.readouterr().out
    assert (
        len(re.findall(r"^[ab]\.png: agrees with its measurement to \d\d dB, within 8-bit rounding$", said, re.M)) == 2
    )
    restored(folder, "epsilon=0.2", "overwrite=true")
    assert capsys.readouterr().out.count(" dB, within epsilon=0.2\n") == 2
    assert certificate(folder, "a.png")["epsilon_met"]


def test_a_second_run_keeps_what_is_done_and_repairs_what_is_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restored(folder)
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    (folder / "out" / "b.png").unlink()
    capsys.readouterr()
    restored(folder)
    assert "1 picture written" in (out := capsys.readouterr().out)
    assert "1 were there already" in out
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    assert after.keys() == before.keys()
    assert after["a.png"] == before["a.png"]
    with pytest.raises(DataError, match="2 of 2 pictures"):  # other settings are another result
        restored(folder, "epsilon=0.1")


def test_existing_files_are_not_replaced_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "a.png").write_bytes(b"mine")
    with pytest.raises(DataError, match="1 of 2 pictures were not made"):
        restored(folder)
    assert (folder / "out" / "a.png").read_bytes() == b"mine"
    assert (folder / "out" / "b.png").is_file()
    assert "overwrite=true replaces it" in capsys.readouterr().err
    restored(folder, "overwrite=true")


def test_names_that_would_collide_are_kept_apart(folder: Path) -> None:
    picture(3).save(folder / "in" / "a.bmp")
    assert {"a_png.png", "a_bmp.png", "b.png"} <= set(restored(folder))


def test_names_that_equal_a_made_up_one_are_kept_apart(folder: Path) -> None:
    for number, name in enumerate(("x.png", "x.bmp", "x_png.tif")):
        picture(number).save(folder / "in" / name)
    assert {"x_png.png", "x_bmp.png", "x_png_2.png"} <= set(restored(folder))
    assert certificate(folder, "x_png.png")["measurement"]["file"] == "x_png.tif"
    assert certificate(folder, "x_png_2.png")["measurement"]["file"] == "x.png"


def test_names_that_terminals_or_disks_refuse(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    long, undecodable = "x" * 240, os.fsdecode(b"caf\xe9")
    for name in (long, undecodable, "\x1b[31mred\x07"):
        picture().save(folder / "in" / f"{name}.png", "PNG")
    (folder / "in" / "\x1b]0;title\x07.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="1 of 6"):
        restored(folder)
    made = {path.stem for path in (folder / "out").glob("*.png")}
    assert {"a", "b", "caf\ufffd", "\ufffd[31mred\ufffd"} < made
    assert any(name.startswith("x" * 190) and len(name) == 200 for name in made)
    assert not {"\x1b", "\x07"} & set("".join(capfd.readouterr()))


def test_output_into_the_input_folder_is_refused(folder: Path) -> None:
    before = (folder / "in" / "a.png").read_bytes()
    with pytest.raises(ConfigError, match="would replace one of the pictures"):
        restore.run(compose("restore", [f"input={folder / 'in'}", f"output={folder / 'in'}", "backbone=bicubic"]))
    assert (folder / "in" / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["mode=fix", "lr=x"], "mode=fix needs sr"),
        (["mode=fix", "sr=x", "lr=y", "input=z"], "no place in mode=fix"),
        (["sr=x"], "no place in mode=restore"),
        (["input=/nowhere/at/all"], "no file or folder"),
        (["output=/proc/nothing"], "cannot write there"),
        (
            ["operator=blur", "scale=4", "backbone=bicubic", "epsilon=0", "operator.width=0.8", "input=/nowhere"],
            "no file",
        ),
    ],
)
def test_wrong_requests_write_nothing(folder: Path, words: list[str], answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        restore.run(configured(folder, *words))
    assert not (folder / "out").exists() or not list((folder / "out").iterdir())


def test_fix_makes_other_peoples_pictures_consistent(folder: Path) -> None:
    (folder / "sr").mkdir()
    for name in "ab":
        lr = Image.open(folder / "in" / f"{name}.png")
        lr.resize((2 * SIZE[1], 2 * SIZE[0]), Image.Resampling.LANCZOS).save(folder / "sr" / f"{name}_SwinIR_x2.png")
    picture().save(folder / "sr" / "unmatched.png")
    words = ["mode=fix", f"sr={folder / 'sr'}", f"lr={folder / 'in'}", "format=tiff", "operator.boundary=symmetric"]
    with pytest.raises(DataError, match="1 of 3"):
        restored(folder, *words)
    stated = certificate(folder, "a_SwinIR_x2.tiff")
    assert stated["lr_psnr"] > 120
    assert stated["operator"] == "bicubic-x2-symmetric"
    assert stated["method"] == "projection"


# ---------------------------------------------------------------------------------------- certify


def certified(image: Path, measurement: Path, *words: str) -> None:
    certify.run(compose("certify", [f"image={image}", f"measurement={measurement}", *words]))


def test_certify_agrees_and_notices_changes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    restored(folder)
    image, lr = folder / "out" / "a.png", folder / "in" / "a.png"
    certified(image, lr)
    assert "certificate agrees" in (out := capsys.readouterr().out)
    assert certificate(folder, "a.png")["operator_sha256"] in out
    certified(image, lr, "epsilon=0.5")
    with pytest.raises(CertificateError, match=r"does not meet epsilon=1e-05"):
        certified(image, lr, "epsilon=1e-5")
    with pytest.raises(CertificateError, match="is for bicubic-x2-truncated"):
        certified(image, lr, "operator.boundary=symmetric")
    with pytest.raises(CertificateError, match="says something else of consistency"):
        certified(image, folder / "in" / "b.png")
    pixels = np.asarray(Image.open(image)).copy()
    pixels[3, 3] += 9
    Image.fromarray(pixels).save(image)
    with pytest.raises(CertificateError, match="says something else of sha256"):
        certified(image, lr)


def test_certify_guesses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hr = torch.from_numpy(np.asarray(picture(5, (40, 48))) / 255.0).permute(2, 0, 1)
    lr = (BicubicDownsample(2, "symmetric")(hr[None])[0] * 255).round().byte().permute(1, 2, 0).numpy()
    picture(5, (40, 48)).save(folder / "hr.png")
    Image.fromarray(lr).save(folder / "lr.png")
    certified(folder / "hr.png", folder / "lr.png", "guess=true")
    out = capsys.readouterr().out
    assert out.startswith("bicubic-x2-symmetric (bicubic of MATLAB) made this LR")


# ---------------------------------------------------------------------------------------- hostile folders


def encoded(kind: str, mode: str = "RGB", size: tuple[int, int] = (16, 16), **options: object) -> bytes:
    target = io.BytesIO()
    Image.new(mode, size).save(target, kind, **options)
    return target.getvalue()


def noisy(kind: str) -> bytes:
    target = io.BytesIO()
    picture(9, (40, 40)).save(target, kind)
    return target.getvalue()


def tiff(samples: np.ndarray, **options: Any) -> bytes:
    target = io.BytesIO()
    tifffile.imwrite(target, samples, **options)
    return target.getvalue()


def gif() -> bytes:
    target = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:])
    return target.getvalue()


def bomb() -> bytes:
    """A small file that claims 60000 x 60000 pixels."""
    good = bytearray(encoded("PNG"))
    good[16:24] = (60000).to_bytes(4) * 2
    import zlib

    good[29:33] = zlib.crc32(bytes(good[12:29])).to_bytes(4)
    return bytes(good)


def hostile_files() -> dict[str, bytes]:
    png, jpeg, bmp, webp = (noisy(kind) for kind in ("PNG", "JPEG", "BMP", "WEBP"))
    noise = np.random.default_rng(0).bytes(500)
    small = np.zeros((4, 4), dtype=np.float32)
    return {
        "empty.png": b"",
        "empty.jpg": b"",
        "empty.tif": b"",
        "truncated.png": png[:-1500],
        "header.png": png[:20],
        "truncated.jpg": jpeg[:200],
        "truncated.bmp": bmp[:100],
        "truncated.webp": webp[:200],
        "truncated.tif": tiff(np.zeros((64, 64), dtype=np.uint16))[:300],
        "text.png": b"this is text, called a picture",
        "html.jpg": b"<!doctype html><title>404</title>",
        "zip.png": b"PK\x03\x04" + noise,
        "noise.png": noise,
        "noise.tif": b"II*\0" + noise,
        "noise.webp": b"RIFF\0\0\0\0WEBP" + noise,
        "noise.gif": b"GIF89a" + noise,
        "python.jp2": b"import os",
        "cmyk.jpg": encoded("JPEG", "CMYK"),
        "cmyk.tif": encoded("TIFF", "CMYK"),
        "lab.tif": encoded("TIFF", "LAB"),
        "nan.tif": tiff(np.full((4, 4), np.nan, dtype=np.float32)),
        "inf.tif": tiff(np.full((4, 4), np.inf, dtype=np.float32)),
        "kelvin.tif": tiff(small + 300),
        "int32.tif": tiff(np.zeros((4, 4), dtype=np.int32)),
        "complex.tif": tiff(np.zeros((4, 4), dtype=np.complex64)),
        "stack.tif": tiff(np.zeros((3, 8, 8), dtype=np.uint16), photometric="minisblack"),
        "channels.tif": tiff(np.zeros((8, 8, 6), dtype=np.uint16), photometric="minisblack", planarconfig="contig"),
        "animated.gif": gif(),
        "animated.png": encoded("PNG", save_all=True, append_images=[Image.new("RGB", (16, 16), "red")]),
        "bomb.png": bomb(),
        "long.png": encoded("PNG", "L", (20000, 1)),
    }


def test_hostile_files_get_one_line_each_and_the_rest_is_restored(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hostile = hostile_files()
    for name, content in hostile.items():
        (folder / "in" / name).write_bytes(content)
    (folder / "in" / "dangling.png").symlink_to(folder / "nowhere.png")
    (folder / "in" / "loop.png").symlink_to(folder / "in" / "loop.png")
    os.mkfifo(folder / "in" / "pipe.png")
    names = {*hostile, "dangling.png", "loop.png", "pipe.png"}
    picture(7).save(folder / "elsewhere.png")
    (folder / "in" / "good_link.png").symlink_to(folder / "elsewhere.png")
    picture(8).save(folder / "in" / "jpeg_inside.png", "JPEG")  # a wrong extension is no reason to refuse
    Image.new("RGB", (1, 1), "gray").save(folder / "in" / "pixel.png")
    (folder / "in" / "folder.png").mkdir()
    (folder / "in" / "notes.txt").write_text("no picture")
    good = {"a", "b", "good_link", "jpeg_inside", "pixel"}
    with pytest.raises(DataError, match=f"{len(names)} of {len(names) + len(good)} pictures were not made"):
        restored(folder)
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("not done: ")]
    assert len(lines) == len(names), "\n".join(lines)
    for name in names:
        assert sum(line.startswith(f"not done: {name}: ") for line in lines) == 1, name
    expected = {f"{stem}.png{extra}" for stem in good for extra in ("", ".json")}
    assert {path.name for path in (folder / "out").iterdir()} == expected


def test_a_full_disk_leaves_no_partial_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        if path.name.startswith(".a.png."):
            with path.open("wb") as file:
                file.write(content[:10])
            raise OSError(28, "No space left on device")
        return write(path, content)

    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="1 of 2 pictures"):
        restored(folder)
    assert {path.name for path in (folder / "out").iterdir()} == {"b.png", "b.png.json"}
