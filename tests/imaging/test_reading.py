"""PNG, PNM and camera files: the values that were put in, or one sentence. ../shared/cases holds files of people."""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from made_files import png
from PIL import Image

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging import Picture, read_picture, read_rgb

H, W = 9, 11
CASES = Path(__file__).resolve().parents[3] / "shared/cases"
shared_cases = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not here")


def levels(bits: int, *channels: int) -> np.ndarray:
    return np.random.default_rng(bits).integers(0, 2**bits, (H, W, *channels))


def read(folder: Path, content: bytes, name: str = "file.png") -> Picture:
    (folder / name).write_bytes(content)
    return read_picture(folder / name)


def check(picture: Picture, colour: np.ndarray, alpha: np.ndarray | None = None) -> None:
    expected = colour[..., None] if colour.ndim == 2 else colour
    np.testing.assert_allclose(picture.colour.permute(1, 2, 0).numpy(), expected, rtol=0, atol=1e-12)
    assert (picture.alpha is None) == (alpha is None)
    if picture.alpha is not None and alpha is not None:
        np.testing.assert_allclose(picture.alpha[0].numpy(), alpha, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("zero", [False, True])
def test_one_gray_is_transparent(tmp_path: Path, bits: int, zero: bool) -> None:
    gray, white = levels(bits), 2**bits - 1
    key = 0 if zero else int(gray[3, 4])
    check(read(tmp_path, png(gray, bits, 0)), gray / white)
    check(read(tmp_path, png(gray, bits, 0, (b"tRNS", struct.pack(">H", key)))), gray / white, gray != key)


@pytest.mark.parametrize("bits", [8, 16])
def test_one_colour_is_transparent(tmp_path: Path, bits: int) -> None:
    colour, white = levels(bits, 3), 2**bits - 1
    colour[5, 6] = colour[3, 4]
    colour[7, 8, :2] = colour[3, 4, :2]  # two of three channels are no match
    given = read(tmp_path, png(colour, bits, 2, (b"tRNS", struct.pack(">HHH", *colour[3, 4]))))
    check(given, colour / white, (colour != colour[3, 4]).any(axis=-1))
    assert given.depth == bits


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("kind", "channels"), [(4, 2), (6, 4)])
def test_alpha_keeps_its_depth(tmp_path: Path, bits: int, kind: int, channels: int) -> None:
    samples = levels(bits, channels)
    check(read(tmp_path, png(samples, bits, kind)), samples[..., :-1] / (2**bits - 1), samples[..., -1] / (2**bits - 1))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_with_part_of_an_alpha(tmp_path: Path, bits: int) -> None:
    index = levels(bits)
    palette = np.random.default_rng(9).integers(0, 256, (2**bits, 3))
    part = np.random.default_rng(8).integers(0, 256, 2**bits // 2)
    chunks = [(b"PLTE", palette.astype(np.uint8).tobytes())]
    check(read(tmp_path, png(index, bits, 3, *chunks)), palette[index] / 255)
    chunks.append((b"tRNS", part.astype(np.uint8).tobytes()))
    whole = np.concatenate([part, np.full(2**bits - len(part), 255)])
    check(read(tmp_path, png(index, bits, 3, *chunks)), palette[index] / 255, whole[index] / 255)


def test_what_says_how_it_looks_is_kept(tmp_path: Path) -> None:
    said = ((b"gAMA", struct.pack(">I", 45455)), (b"cHRM", struct.pack(">8I", *range(8))), (b"sRGB", b"\0"))
    for bits in (8, 16):
        assert read(tmp_path, png(levels(bits, 3), bits, 2, *said)).png_colour == said


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_a_damaged_or_cut_png_is_one_sentence(tmp_path: Path, bits: int, kind: int, channels: int) -> None:
    good = png(levels(bits, channels), bits, kind)
    for content in (good[:90] + bytes([good[90] ^ 255]) + good[91:], good[: len(good) // 2], good[:60]):
        with pytest.raises(DataError, match=r"file\.png cannot be read as an image"):
            read(tmp_path, content)


@pytest.mark.parametrize("white", [1, 15, 100, 255, 256, 1000, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_pnm_counts_in_shares_of_its_maximum(tmp_path: Path, white: int, channels: int) -> None:
    samples = np.random.default_rng(white).integers(0, white + 1, (H, W, channels))
    raw = samples.astype(">u2" if white > 255 else "u1").tobytes()
    kind = {1: (b"P5", b"P2"), 3: (b"P6", b"P3")}[channels]
    header = b"\n# a comment\n%d %d\n%d\n" % (W, H, white)
    check(read(tmp_path, kind[0] + header + raw, "raw.pnm"), samples / white)
    plain = b" ".join(b"%d" % level for level in samples.flat)
    check(read(tmp_path, kind[1] + header + plain, "plain.pnm"), samples / white)
    assert read_picture(tmp_path / "raw.pnm").depth == (8 if white < 256 else 16)


def test_bitmaps_are_black_where_they_are_one(tmp_path: Path) -> None:
    bits = levels(1)
    packed = np.packbits(bits.astype(np.uint8), axis=1).tobytes()
    check(read(tmp_path, b"P4 %d %d\n" % (W, H) + packed), 1 - bits)
    check(read(tmp_path, b"P1 %d %d\n" % (W, H) + b"".join(b"%d" % bit for bit in bits.flat)), 1 - bits)


@pytest.mark.parametrize(
    "content",
    [
        b"P6 9 9 65535\n" + bytes(20),
        b"P5 2 2 15\n\x01\x02\x03\x20",
        b"P5 90000 90000 255\n",
        b"P5 0 2 255\n",
        b"P2 2 2 255 1 -3 4 5",
        b"P3 2 2 255 a b c",
        b"P6 2",
    ],
)
def test_wrong_pnm_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"file\.png"):
        read(tmp_path, content)


def two_pictures(orientation: int) -> tuple[bytes, np.ndarray]:
    """A camera's JPEG with a smaller picture behind it, and what is to be seen of it."""
    image = Image.fromarray((np.add.outer(np.arange(16), 2 * np.arange(24)) * 3).astype(np.uint8)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    target, alone = io.BytesIO(), io.BytesIO()
    image.save(target, "MPO", save_all=True, append_images=[image.resize((6, 4))], exif=exif.tobytes())
    image.save(alone, "JPEG")
    pixels = np.asarray(Image.open(alone)) / 255
    return target.getvalue(), np.rot90(pixels, -1) if orientation == 6 else pixels


@pytest.mark.parametrize("orientation", [1, 6])
def test_of_a_cameras_two_pictures_the_first_is_read(tmp_path: Path, orientation: int) -> None:
    content, expected = two_pictures(orientation)
    check(read(tmp_path, content, "phone.jpg"), expected)


def test_data_sets_see_what_the_commands_see(tmp_path: Path) -> None:
    content, expected = two_pictures(6)
    (tmp_path / "phone.jpg").write_bytes(content)
    np.testing.assert_allclose(read_rgb(tmp_path / "phone.jpg").permute(1, 2, 0).numpy(), expected, atol=1e-7)
    deep = np.arange(65536).reshape(256, 256)
    (tmp_path / "deep.png").write_bytes(png(deep, 16, 0))
    assert (read_rgb(tmp_path / "deep.png")[2].double() * 65535).round().int().numpy().ravel().tolist() == [
        *range(65536)
    ]
    (tmp_path / "flat.png").write_bytes(png(np.arange(256)[None], 8, 0))
    assert torch.equal(read_rgb(tmp_path / "flat.png")[0], torch.arange(256)[None].float() / 255)  # as ever, to the bit


def test_postscript_never_reaches_ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("a program was started"))
    with pytest.raises(DataError, match="cannot be read as an image"):
        read(tmp_path, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EOF\n")


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_other_colours_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (8, 8)).save(tmp_path / "file.tif")
    with pytest.raises(DataError, match=f"{mode} colours"):
        read_picture(tmp_path / "file.tif")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "file.png").write_bytes(png(levels(8), 8, 0))
    (tmp_path / "file.png").chmod(0)
    with pytest.raises(DataError, match="may not be read"):
        read_picture(tmp_path / "file.png")


# ---------------------------------------------------------------------------------------- ../shared/cases


def check_photograph(picture: Picture, truth: str, white: int) -> None:
    """Against truth.npz, whose pictures have a colour of their own in a hole."""
    truths = np.load(CASES / "trns/truth.npz")
    expected = truths[truth] / white
    expected = expected[..., None] if expected.ndim == 2 else expected
    given = picture.colour.permute(1, 2, 0).numpy()
    np.testing.assert_allclose(given[~truths["hole"]], expected[~truths["hole"]], rtol=0, atol=1e-7)


@shared_cases
@pytest.mark.parametrize(
    ("name", "truth", "white"),
    [("rgb16_lzw", "a16", 65535), ("rgb16_lzw_pred2", "a16", 65535), ("rgb8_lzw", "a8", 255)]
    + [(f"gray16_{kind}", "g16", 65535) for kind in ("deflate", "lzw", "packbits")]
    + [(f"float_{kind}", "g16", 65535) for kind in ("deflate", "lzw")],
)
def test_compressed_files_of_people(name: str, truth: str, white: int) -> None:
    check_photograph(read_picture(CASES / f"tiffcomp/{name}.tif"), truth, white)


@shared_cases
@pytest.mark.parametrize("name", ["pyramid_subifd16", "with_preview16", "with_preview"])
def test_main_pictures_of_people(name: str) -> None:
    truth, white = ("a16", 65535) if name.endswith("16") else ("a8", 255)
    check_photograph(read_picture(CASES / f"mpo/{name}.tif"), truth, white)


@shared_cases
def test_photographs_of_phones() -> None:
    lying, turned = (read_picture(CASES / f"mpo/{name}.jpg").colour for name in ("phone", "phone_turned"))
    assert lying.shape == (3, 48, 60)
    assert torch.equal(turned, lying.rot90(-1, (1, 2)))


@shared_cases
def test_transparency_of_people() -> None:
    truth = np.load(CASES / "trns/truth.npz")
    check(read_picture(CASES / "trns/gray8_trns.png"), truth["g8"] / 255, ~truth["hole"])
    with Image.open(CASES / "trns/palette_partial.png") as opened:
        alpha = np.asarray(opened.convert("RGBA"))[..., 3] / 255
    found = read_picture(CASES / "trns/palette_partial.png").alpha
    assert found is not None
    assert np.array_equal(found[0].numpy(), alpha)
