"""TIFF: every depth, compression and layout gives the values that were put in; the main picture is the one read."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from made_files import LZW, differences, directories, lzw, packed, raw_tiff, tiff
from PIL import Image

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging import Picture, read_picture

H, W = 9, 11
DEEP = np.random.default_rng(0).integers(0, 65536, (H, W, 3)).astype(np.uint16)
FLAT = np.random.default_rng(1).integers(0, 256, (H, W, 3)).astype(np.uint8)
FLOATS = np.random.default_rng(2).random((H, W, 3)).astype(np.float32)


def read(folder: Path, content: bytes) -> Picture:
    (folder / "file.tif").write_bytes(content)
    return read_picture(folder / "file.tif")


def check(picture: Picture, colour: np.ndarray, depth: int, alpha: np.ndarray | None = None) -> None:
    expected = colour[..., None] if colour.ndim == 2 else colour
    np.testing.assert_allclose(picture.colour.permute(1, 2, 0).numpy(), expected, rtol=0, atol=1e-12)
    assert picture.depth == depth
    assert (picture.alpha is None) == (alpha is None)
    if picture.alpha is not None and alpha is not None:
        np.testing.assert_allclose(picture.alpha[0].numpy(), alpha, rtol=0, atol=1e-12)


def compressed(samples: np.ndarray, compression: int, predictor: int = 1, **tags: int) -> bytes:
    """(H, W, C) with one strip of LZW, deflate or PackBits (runs of literals alone)."""
    import zlib

    stored = (differences(samples) if predictor == 2 else samples).tobytes()
    if compression == LZW:
        segment = lzw(stored)
    elif compression == 8:
        segment = zlib.compress(stored)
    else:
        rows = np.frombuffer(stored, np.uint8).reshape(len(samples), -1)
        segment = b"".join(
            bytes([len(part) - 1]) + part.tobytes() for row in rows for part in np.split(row, range(128, len(row), 128))
        )
    bits = [samples.itemsize * 8] * samples.shape[2]
    photometric = 2 if samples.shape[2] >= 3 else 1
    tags |= {"t339": 3} if samples.dtype.kind == "f" else {}
    return raw_tiff(segment, W, H, bits, t259=compression, t262=photometric, t317=predictor, **tags)


@pytest.mark.parametrize("compression", [LZW, 8, 32773])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_compressed_16_bit_is_exact(tmp_path: Path, compression: int, predictor: int, channels: int) -> None:
    check(read(tmp_path, compressed(DEEP[..., :channels], compression, predictor)), DEEP[..., :channels] / 65535, 16)


@pytest.mark.parametrize("compression", [LZW, 8, 32773])
@pytest.mark.parametrize("samples", [FLOATS, FLOATS[..., :1], FLOATS.astype(np.float16), FLOATS.astype(np.float64)])
def test_compressed_floats_are_exact(tmp_path: Path, compression: int, samples: np.ndarray) -> None:
    check(read(tmp_path, compressed(samples, compression)), samples.astype(np.float64), 32)


def test_floating_point_predictor(tmp_path: Path) -> None:
    """Bytes of a row by significance, highest first, then differences of bytes, as Adobe's note 3 says."""
    planes = FLOATS.astype(">f4").reshape(H, W * 3, 1).view(np.uint8).reshape(H, W * 3, 4).swapaxes(1, 2)
    row = planes.reshape(H, -1, 3)
    stored = differences(row).astype(np.uint8).tobytes()
    content = raw_tiff(lzw(stored), W, H, [32] * 3, t259=LZW, t262=2, t317=3, t339=3)
    check(read(tmp_path, content), FLOATS.astype(np.float64), 32)


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
@pytest.mark.parametrize("squeeze", [False, True])
def test_packed_samples(tmp_path: Path, bits: int, squeeze: bool) -> None:
    levels = np.random.default_rng(bits).integers(0, 2**bits, (H, W))
    content = packed(levels, bits)
    picture = read(tmp_path, raw_tiff(lzw(content) if squeeze else content, W, H, [bits], t259=LZW if squeeze else 1))
    check(picture, levels / (2**bits - 1), 8 if bits <= 8 else 16)


def test_packed_12_bit_colour(tmp_path: Path) -> None:
    levels = np.random.default_rng(3).integers(0, 4096, (H, W, 3))
    check(read(tmp_path, raw_tiff(packed(levels.reshape(H, -1), 12), W, H, [12] * 3, t262=2)), levels / 4095, 16)


@pytest.mark.parametrize("samples", [FLAT[..., 0], DEEP[..., 0]])
def test_white_is_zero(tmp_path: Path, samples: np.ndarray) -> None:
    white = np.iinfo(samples.dtype).max
    check(read(tmp_path, tiff(samples, photometric="miniswhite")), 1 - samples / white, samples.itemsize * 8)


def test_bits_filled_from_the_lowest(tmp_path: Path) -> None:
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in FLAT[..., 0].tobytes())
    check(read(tmp_path, raw_tiff(turned, W, H, t266=2)), FLAT[..., 0] / 255, 8)


@pytest.mark.parametrize("layout", [{"tile": (16, 16)}, {"rowsperstrip": 2}, {"bigtiff": True}, {"byteorder": ">"}])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("samples", [FLAT, DEEP, FLOATS])
def test_layouts(tmp_path: Path, layout: dict[str, Any], planar: str, samples: np.ndarray) -> None:
    stored = samples if planar == "contig" else np.moveaxis(samples, -1, 0)
    picture = read(tmp_path, tiff(stored, photometric="rgb", planarconfig=planar, **layout))
    white = 1 if samples.dtype.kind == "f" else np.iinfo(samples.dtype).max
    check(picture, samples.astype(np.float64) / white, {1: 8, 2: 16, 4: 32}[samples.itemsize])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("samples", [FLAT, DEEP])
def test_orientation(tmp_path: Path, orientation: int, samples: np.ndarray) -> None:
    turned = samples / np.iinfo(samples.dtype).max
    turned = turned.swapaxes(0, 1) if orientation >= 5 else turned
    turned = turned[::-1] if orientation in (3, 4, 7, 8) else turned
    turned = turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned
    content = tiff(samples, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    check(read(tmp_path, content), turned, 8 * samples.itemsize)


@pytest.mark.parametrize(("dtype", "white"), [("uint8", 255), ("uint16", 65535), ("float32", 1)])
@pytest.mark.parametrize("channels", [2, 4])
def test_premultiplied_colours_are_divided_by_alpha(tmp_path: Path, dtype: str, white: int, channels: int) -> None:
    alpha = np.random.default_rng(5).random((H, W, 1))
    alpha[0] = 0
    both = np.concatenate([FLOATS[..., : channels - 1] * alpha, alpha], axis=-1) * white
    stored = (both if white == 1 else both.round()).astype(dtype)
    kind = "rgb" if channels == 4 else "minisblack"
    content = tiff(stored, photometric=kind, planarconfig="contig", extrasamples=["assocalpha"])
    values = stored.astype(np.float64) / white
    share = values[..., -1:]
    expected = np.where(share > 0, values[..., :-1] / np.where(share > 0, share, 1), 0)
    expected = expected if white == 1 else expected.clip(max=1)
    check(read(tmp_path, content), expected, {255: 8, 65535: 16, 1: 32}[white], share[..., 0])


@pytest.mark.parametrize("kind", ["unassalpha", "unspecified"])
def test_other_alpha_is_left_alone(tmp_path: Path, kind: str) -> None:
    both = np.concatenate([DEEP, DEEP[..., :1]], axis=-1)
    check(read(tmp_path, tiff(both, photometric="rgb", extrasamples=[kind])), DEEP / 65535, 16, DEEP[..., 0] / 65535)


def written(*pages: tuple[np.ndarray, dict[str, Any]]) -> bytes:
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as writer:
        for samples, options in pages:
            writer.write(samples, photometric="rgb", metadata=None, **options)
    return target.getvalue()


@pytest.mark.parametrize("samples", [FLAT, DEEP])
def test_the_main_picture_is_read(tmp_path: Path, samples: np.ndarray) -> None:
    small, reduced = samples[::4, ::4].copy(), {"subfiletype": 1}
    expected, depth = samples / np.iinfo(samples.dtype).max, samples.itemsize * 8
    check(read(tmp_path, written((samples, {}), (small, reduced))), expected, depth)
    check(read(tmp_path, written((small, reduced), (samples, {}))), expected, depth)
    check(read(tmp_path, written((samples, {"subifds": 1}), (small, reduced))), expected, depth)
    check(read(tmp_path, written((small, {"subifds": 1, **reduced}), (samples, {}))), expected, depth)
    with pytest.raises(DataError, match="2 pages"):
        read(tmp_path, written((samples, {}), (samples, {})))


def test_a_palette_behind_a_preview(tmp_path: Path) -> None:
    ramp = np.stack([np.arange(256) * 257, np.arange(256)[::-1] * 257, np.full(256, 514)]).astype(np.uint16)
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as writer:
        writer.write(FLAT[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
        writer.write(FLAT[..., 0], photometric="palette", colormap=ramp, metadata=None)
    check(read(tmp_path, target.getvalue()), (ramp.T[FLAT[..., 0]] >> 8) / 255, 8)


@pytest.mark.parametrize("compression", ["jpeg", "group4", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_what_pillow_reads_without_loss_is_the_same(tmp_path: Path, compression: str) -> None:
    image = Image.fromarray(FLAT) if compression == "jpeg" else Image.fromarray(FLAT[..., 0] > 100)
    image.save(tmp_path / "pillow.tif", compression=compression)
    with Image.open(tmp_path / "pillow.tif") as opened:
        expected = np.asarray(opened).astype(np.float64) / (255 if compression == "jpeg" else 1)
    check(read(tmp_path, (tmp_path / "pillow.tif").read_bytes()), expected, 8)


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (tiff(DEEP[..., 0].astype(np.int16)), "signed samples"),
        (tiff(FLAT[..., 0].astype(np.int8)), "signed samples"),
        (tiff(DEEP[..., 0].astype(np.uint32)), "32-bit samples"),
        (tiff(np.concatenate([DEEP, DEEP[..., :1]], -1), photometric="separated"), "CMYK"),
        (tiff(FLAT.astype(np.float32), photometric="rgb"), "far outside"),
        (tiff(np.concatenate([DEEP, DEEP], -1), photometric="rgb"), "6 channels"),
        (raw_tiff(b"", 12000, 12000, [8] * 300), "300 channels"),
        (raw_tiff(b"1234567890", 12000, 12000, t259=LZW), "truncated"),
        (raw_tiff(DEEP.tobytes(), W, H, [16] * 3, t259=50002, t262=2), "is compressed by"),
        (raw_tiff(bytes(1000), 20, 20, [12], t317=2, t259=LZW), "predictor"),
        (directories(16000), "more than 64 pages"),
        (directories(2), "2 pages"),
        (tiff(DEEP, photometric="rgb")[:-20], "truncated"),
        (compressed(DEEP, LZW)[:-200], "cannot be read"),
        (compressed(DEEP, 8)[:-200], "cannot be read"),
    ],
)
def test_one_sentence(tmp_path: Path, content: bytes, answer: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=rf"file\.tif .*{answer}") as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")  # libtiff's own remarks are no second sentence


def test_pointers_in_a_circle_end(tmp_path: Path) -> None:
    content = bytearray(directories(2))
    content[-4:] = struct.pack("<I", 8)
    with pytest.raises(DataError):
        read(tmp_path, bytes(content))
