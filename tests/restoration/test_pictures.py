"""Pictures in and out: depth, alpha, ICC and orientation survive; what cannot be read is refused in one sentence."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps

from mcnet_lightning.errors import DataError
from mcnet_lightning.files import staged, write_file
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.restoration import Picture, make_consistent, read_picture
from mcnet_lightning.restoration.writing import DEPTH, SUFFIX, Format, encode

GRAY_ICC = bytes(16) + b"GRAY" + bytes(108)  # as far as anybody looks here: the kind of colours
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("format", ["png8", "png16", "tiff"])
def test_what_is_written_is_read_again(tmp_path: Path, format: Format, channels: int, alpha: bool) -> None:
    image = torch.rand(channels + alpha, 5, 7, dtype=torch.float64)
    profile = {1: GRAY_ICC, 3: ICC}[channels]
    picture = Picture(image[:channels], image[channels:] if alpha else None, 8, profile)
    path = tmp_path / f"picture{SUFFIX[format]}"
    write_file(path, encode(picture, format))
    read = read_picture(path)
    step = {8: 0.5 / 255, 16: 0.5 / 65535, 32: 6e-8}[DEPTH[format]]
    torch.testing.assert_close(read.colour, picture.colour.expand_as(read.colour), rtol=0, atol=step * 1.001)
    assert (read.alpha is not None) == alpha
    if alpha:
        torch.testing.assert_close(read.alpha, picture.alpha, rtol=0, atol=step * 1.001)
    assert (read.depth, read.icc) == (DEPTH[format], profile)


COLOUR_CHUNKS = ((b"gAMA", (45455).to_bytes(4)), (b"cHRM", bytes(range(32))), (b"sRGB", b"\1"))


@pytest.mark.parametrize("format", ["png8", "png16", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_profile_never_goes_with_other_colours(tmp_path: Path, format: Format, channels: int) -> None:
    image = torch.rand(channels + 1, 5, 7, dtype=torch.float64)
    picture = Picture(image[:channels], image[channels:], 8, {1: ICC, 3: GRAY_ICC}[channels])
    write_file(tmp_path / "picture", encode(picture, format))
    assert read_picture(tmp_path / "picture").icc is None


@pytest.mark.parametrize("format", ["png8", "png16"])
def test_what_says_how_values_look_stays(tmp_path: Path, format: Format) -> None:
    picture = Picture(torch.rand(3, 5, 7).double(), png_colour=COLOUR_CHUNKS)
    write_file(tmp_path / "picture.png", encode(picture, format))
    assert read_picture(tmp_path / "picture.png").png_colour == COLOUR_CHUNKS
    with_profile = replace(picture, icc=ICC)  # beside which PNG allows no sRGB
    write_file(tmp_path / "picture.png", encode(with_profile, format))
    assert read_picture(tmp_path / "picture.png").png_colour == COLOUR_CHUNKS[:2]
    assert read_picture(tmp_path / "picture.png").icc == ICC


@pytest.mark.parametrize(
    ("picture", "measurement", "kept"),
    [
        ((3, None), (3, ICC), ICC),
        ((3, ICC), (3, None), ICC),
        ((1, GRAY_ICC), (3, ICC), ICC),
        ((1, GRAY_ICC), (3, None), None),
        ((3, ICC), (1, GRAY_ICC), ICC),
        ((1, None), (1, GRAY_ICC), GRAY_ICC),
    ],
)
def test_fix_keeps_the_profile_of_its_colours(
    picture: tuple[int, bytes | None], measurement: tuple[int, bytes | None], kept: bytes | None
) -> None:
    sr, lr = (
        Picture(torch.rand(channels, size, size).double(), icc=icc, png_colour=said)
        for (channels, icc), size, said in ((picture, 16, ()), (measurement, 8, COLOUR_CHUNKS))
    )
    made = make_consistent(sr, lr, BicubicDownsample(2), 0.0)
    assert made.icc == kept
    assert made.png_colour == COLOUR_CHUNKS


def test_16_bit_png_is_read_by_another_program(tmp_path: Path) -> None:
    gray = torch.arange(35, dtype=torch.float64).view(1, 5, 7) * 1800 / 65535
    write_file(tmp_path / "deep.png", encode(Picture(gray), "png16"))
    with Image.open(tmp_path / "deep.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.arange(35).reshape(5, 7) * 1800)


def test_tiff_is_not_clipped(tmp_path: Path) -> None:
    write_file(tmp_path / "float.tiff", encode(Picture(torch.tensor([[[-0.25, 1.25]]]).double()), "tiff"))
    assert read_picture(tmp_path / "float.tiff").colour.flatten().tolist() == [-0.25, 1.25]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    image = Image.fromarray(np.arange(105, dtype=np.uint8).reshape(5, 7, 3))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "turned.png", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "turned.png")))
    ours = (read_picture(tmp_path / "turned.png").colour.permute(1, 2, 0) * 255).round().numpy()
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(
    ("mode", "channels", "alpha"),
    [("1", 1, False), ("L", 1, False), ("LA", 1, True), ("P", 3, False), ("RGB", 3, False), ("RGBA", 3, True)],
)
def test_modes(tmp_path: Path, mode: str, channels: int, alpha: bool) -> None:
    opaque = np.full((4, 6, 4 if alpha else 3), 130, dtype=np.uint8)
    Image.fromarray(opaque).convert(mode).save(tmp_path / "picture.png")
    picture = read_picture(tmp_path / "picture.png")
    assert picture.colour.shape == (channels, 4, 6)
    assert (picture.alpha is not None) == alpha


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "webp", "tif"])
def test_other_formats(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(np.full((16, 24, 3), 130, dtype=np.uint8)).save(tmp_path / f"picture.{suffix}")
    colour = read_picture(tmp_path / f"picture.{suffix}").colour
    torch.testing.assert_close(colour, torch.full((3, 16, 24), 130 / 255, dtype=torch.float64), rtol=0, atol=0.01)


def test_16_bit_colour_tiff_keeps_its_depth(tmp_path: Path) -> None:
    colours = (np.arange(5 * 7 * 3).reshape(5, 7, 3) * 467 + 1).astype(np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", colours, photometric="rgb")
    picture = read_picture(tmp_path / "deep.tif")
    assert picture.depth == 16
    np.testing.assert_array_equal((picture.colour.permute(1, 2, 0) * 65535).round().numpy(), colours)


def test_palette_with_transparency_has_alpha(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(tmp_path / "palette.png", transparency=1)
    picture = read_picture(tmp_path / "palette.png")
    assert picture.alpha is not None
    assert not picture.alpha.any()


def gif_bytes() -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    target = io.BytesIO()
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:])
    return target.getvalue()


def tiff_bytes(samples: np.ndarray) -> bytes:
    target = io.BytesIO()
    tifffile.imwrite(target, samples, photometric="minisblack")
    return target.getvalue()


def image_bytes(kind: str, mode: str = "RGB") -> bytes:
    target = io.BytesIO()
    Image.new(mode, (8, 8)).save(target, kind)
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (gif_bytes(), "3 frames"),
        (image_bytes("JPEG", "CMYK"), "CMYK"),
        (tiff_bytes(np.full((4, 4), np.nan, dtype=np.float32)), "NaN"),
        (tiff_bytes(np.full((4, 4), 200, dtype=np.float32)), "rescale"),
        (tiff_bytes(np.zeros((2, 4, 4), dtype=np.uint16)), "2 pages"),
        (tiff_bytes(np.zeros((4, 4), dtype=np.uint32)), "32-bit|unknown|cannot be read"),
        (b"", "is empty"),
        (b"II*\0" + bytes(30), "cannot be read"),
        (image_bytes("PNG")[:40], "cannot be read"),
    ],
    ids=["gif", "cmyk", "nan", "range", "pages", "uint32", "empty", "tiff header", "truncated"],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, content: bytes, answer: str) -> None:
    path = tmp_path / "wrong.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"(?s)wrong\.png.*({answer})") as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)


def test_large_pictures_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    Image.new("L", (300, 200)).save(tmp_path / "large.png")
    with pytest.raises(DataError, match=r"more than 0\.05 million"):
        read_picture(tmp_path / "large.png", max_megapixels=0.05)
    Image.new("L", (20000, 1)).save(tmp_path / "long.png")
    with pytest.raises(DataError, match="sides above"):
        read_picture(tmp_path / "long.png")


def test_links_and_pipes_are_no_pictures(tmp_path: Path) -> None:
    import os

    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    for name, answer in (("link.png", "leads nowhere"), ("pipe.png", "no regular file"), ("none.png", "no image")):
        with pytest.raises(DataError, match=answer):
            read_picture(tmp_path / name)


def test_a_failed_write_leaves_nothing_new_and_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    write_file(path, b"before")

    def fail_half_way() -> None:
        with staged(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    with pytest.raises(DataError, match=r"out\.png cannot be written \(No space"), staged(path):
        raise OSError(28, "No space left on device")
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]
