"""Objects in memory: the value that `read_picture` reads of the same picture, or one sentence."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from made_files import png, raw_tiff, tiff
from PIL import Image, ImageCms

from mcnet_lightning import load_restorer, restore_image
from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging import read_picture
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.restoration import Restorer
from mcnet_lightning.restoration.objects import picture_from

A = BicubicDownsample(2)
SMOOTH = (np.add.outer(np.arange(12), np.arange(16)) * 2000 + 1000).astype(np.uint16)
COLOUR = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return load_restorer("bicubic", 2)


def agrees(made: np.ndarray, given: np.ndarray, white: float) -> bool:
    """Whether torch's bicubic shrinks `made` to `given` (both (H, W)), but for rounding to levels."""
    shrunk = A(torch.from_numpy(made.astype(np.float64))[None, None])[0, 0].numpy()
    return float(np.square((shrunk - given) / white).mean() ** 0.5) < (1e-6 if white > 255 else 1e-3)


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_16_bit_gray_stays_16_bit_gray(restorer: Restorer, mode: str) -> None:
    stored = SMOOTH.astype(">u2" if mode.endswith("B") else "<u2")
    made = restore_image(Image.frombytes(mode, (16, 12), stored.tobytes()), restorer)
    assert (made.mode, made.size) == ("I;16", (32, 24))
    assert agrees(np.asarray(made), SMOOTH, 65535)


def test_floats_stay_floats(restorer: Restorer) -> None:
    made = restore_image(Image.fromarray((SMOOTH / 65535).astype(np.float32)), restorer)
    assert (made.mode, made.size) == ("F", (32, 24))
    assert agrees(np.asarray(made) * 65535, SMOOTH, 65535)


@pytest.mark.parametrize(
    ("image", "answer"),
    [
        (Image.fromarray(SMOOTH.astype(np.int32)), "32-bit pixels, whose range is unknown"),
        (Image.fromarray(COLOUR).convert("CMYK"), "CMYK colours"),
        (Image.fromarray(COLOUR).convert("LAB"), "LAB colours"),
        (Image.fromarray(COLOUR).convert("HSV"), "HSV colours"),
        (Image.fromarray((SMOOTH / 257).astype(np.float32)), r"far outside \[0, 1\]"),
        (COLOUR.astype(np.float64), r"far outside \[0, 1\]"),
        (torch.from_numpy(COLOUR).permute(2, 0, 1).float(), r"far outside \[0, 1\]"),
        (np.full((4, 4), np.inf), "NaN, Inf"),
        (SMOOTH.astype(np.int16), "no image: int16"),
        (COLOUR > 9, "no image: bool"),
        (np.zeros((0, 4)), "no image"),
        (np.array([["a"]], dtype=object), "no image: object"),
    ],
)
def test_what_has_no_known_values_is_one_sentence(restorer: Restorer, image: np.ndarray, answer: str) -> None:
    with pytest.raises(DataError, match=answer) as caught:
        restore_image(image, restorer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u2", "f4", "f8"])
def test_arrays_of_any_byte_order(restorer: Restorer, order: str, kind: str) -> None:
    array = (SMOOTH if kind == "u2" else SMOOTH / 65535).astype(order + kind)
    made = restore_image(array, restorer)
    assert made.dtype == array.dtype
    np.testing.assert_array_equal(made, restore_image(array.astype(array.dtype.newbyteorder("=")), restorer))
    assert agrees(made.astype(np.float64) * (1 if kind == "u2" else 65535), SMOOTH, 65535)


def test_palettes_and_transparency_become_colour_and_alpha(restorer: Restorer) -> None:
    palette = Image.fromarray(COLOUR).quantize(16)
    assert restore_image(palette, restorer).mode == "RGB"
    palette.info["transparency"] = 3
    made = picture_from(palette)
    assert made.alpha is not None
    np.testing.assert_array_equal(made.alpha[0].numpy(), np.asarray(palette) != 3)
    assert restore_image(palette, restorer).mode == "RGBA"
    marked = Image.fromarray(COLOUR)
    marked.info["transparency"] = tuple(int(level) for level in COLOUR[3, 4])
    alpha = picture_from(marked).alpha
    assert alpha is not None
    np.testing.assert_array_equal(alpha[0].numpy(), (COLOUR[3, 4] != COLOUR).any(-1))
    assert restore_image(marked, restorer).mode == "RGBA"


def test_turned_images_come_back_upright(restorer: Restorer) -> None:
    image = Image.fromarray(COLOUR)
    image.getexif()[0x0112] = 6
    made = restore_image(image, restorer)
    assert made.size == (24, 32)
    np.testing.assert_array_equal(np.asarray(made), restore_image(np.rot90(COLOUR, -1), restorer))
    assert made.getexif().get(0x0112, 1) == 1


def test_profiles_go_along(restorer: Restorer) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(COLOUR)
    image.info["icc_profile"] = profile
    assert restore_image(image, restorer).info["icc_profile"] == profile
    gray = image.convert("L")
    gray.info["icc_profile"] = profile
    assert "icc_profile" not in restore_image(gray, restorer).info


FILES = {
    "g16.png": png(SMOOTH, 16, 0),
    "g2.png": png(SMOOTH % 4, 2, 0, (b"tRNS", struct.pack(">H", 3))),
    "g4.png": png(SMOOTH % 16, 4, 0, (b"tRNS", struct.pack(">H", 8))),
    "g1.png": png(SMOOTH // 1000 % 2, 1, 0, (b"tRNS", struct.pack(">H", 1))),
    "rgb8.png": png(COLOUR, 8, 2, (b"tRNS", struct.pack(">HHH", *COLOUR[3, 4]))),
    "rgb16.png": png(COLOUR.astype(int) * 257 - COLOUR // 3, 16, 2),
    "la16.png": png(np.stack([SMOOTH, SMOOTH], -1), 16, 4),
    "wide.pgm": b"P5 16 12 4095\n" + (SMOOTH % 4096).astype(">u2").tobytes(),
    "wide.ppm": b"P6 16 12 65535\n" + (COLOUR.astype(int) * 257 - COLOUR // 3).astype(">u2").tobytes(),
    "white.tif": tiff(SMOOTH, photometric="miniswhite"),
    "twelve.tif": raw_tiff(bytes(range(216)) + bytes(72), 16, 12, [12]),
    "lzw.tif": tiff(COLOUR, photometric="rgb", compression="zlib"),
    "signed.tif": tiff(SMOOTH.astype(np.int16)),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.filterwarnings("ignore:.*unclosed file")  # Pillow keeps what a test opens
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # which says so when it is collected
def test_opened_files_give_what_the_reader_gives(tmp_path: Path, name: str, loaded: bool) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    image = Image.open(tmp_path / name)
    if loaded:
        if name in ("g2.png", "g4.png", "rgb16.png", "la16.png", "wide.ppm"):
            pytest.skip("Pillow has lost by then what told its 8 bits from others")
        image.load()
    try:
        made = picture_from(image)
    except DataError as error:
        made, said = None, str(error)
    if made is None:
        assert "\n" not in said
        return
    expected = read_picture(tmp_path / name)
    assert torch.equal(made.colour, expected.colour)
    assert (made.alpha is None) == (expected.alpha is None)
    assert made.alpha is None or expected.alpha is None or torch.equal(made.alpha, expected.alpha)


def test_a_jpeg_that_was_asked_for_smaller_is_taken_as_it_is() -> None:
    target = io.BytesIO()
    Image.fromarray(COLOUR).resize((160, 120)).save(target, "JPEG")
    image = Image.open(target)
    image.draft("RGB", (40, 30))
    assert picture_from(image).size == (30, 40)
