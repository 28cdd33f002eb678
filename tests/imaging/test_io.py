"""Pictures in and out."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from kornia_rs.io import write_image_png_u16
from PIL import Image

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging import list_images, read_rgb, write_png

LEVELS = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def save(folder: Path, pixels: np.ndarray, mode: str | None = None, name: str = "picture.png") -> Path:
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(folder / name)
    return folder / name


def levels(tensor: torch.Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] -> (H, W, 3) in 0..255, exactly if it came from 8 bit."""
    return (tensor.double() * 255).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_rgb_is_read_exactly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(LEVELS).save(path, lossless=True)
    image = read_rgb(path)
    assert (image.shape, image.dtype) == ((3, 6, 8), torch.float32)
    np.testing.assert_allclose(levels(image), LEVELS, atol=1e-4)


def test_gray_is_repeated(tmp_path: Path) -> None:
    image = read_rgb(save(tmp_path, LEVELS[..., 0]))
    np.testing.assert_allclose(levels(image), np.repeat(LEVELS[..., :1], 3, axis=2), atol=1e-4)


def test_alpha_is_dropped_without_blending(tmp_path: Path) -> None:
    transparent = np.concatenate([LEVELS, np.full((6, 8, 1), 100, np.uint8)], axis=2)
    np.testing.assert_allclose(levels(read_rgb(save(tmp_path, transparent))), LEVELS, atol=1e-4)


def test_gray_with_alpha_is_repeated(tmp_path: Path) -> None:
    image = read_rgb(save(tmp_path, LEVELS[..., 0], "LA"))
    np.testing.assert_allclose(levels(image)[..., 2], LEVELS[..., 0], atol=1e-4)


def test_palette_is_resolved(tmp_path: Path) -> None:
    few = (LEVELS // 128) * 255
    path = tmp_path / "palette.png"
    Image.fromarray(few).quantize(16).save(path)
    with Image.open(path) as picture:
        assert picture.mode == "P"
    np.testing.assert_allclose(levels(read_rgb(path)), few, atol=1e-4)


def test_bilevel_is_black_and_white(tmp_path: Path) -> None:
    assert set(read_rgb(save(tmp_path, LEVELS[..., 0], "1")).unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_gray_keeps_its_levels(tmp_path: Path, suffix: str) -> None:
    gray = np.array([[0, 1, 255], [256, 40000, 65535]], dtype=np.uint16)
    image = read_rgb(save(tmp_path, gray, name=f"deep.{suffix}"))
    np.testing.assert_allclose(image[1].double().numpy() * 65535, gray, atol=0.01)


def png_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"not a picture at all", png_bytes()[:50], png_bytes()[:-2000], b"BM" + bytes(20)],
    ids=["empty", "text", "header only", "truncated", "bad bmp"],
)
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png (cannot be read as an image|is empty)"):
        read_rgb(path)


def test_damaged_bytes_never_reach_the_user_as_a_traceback(tmp_path: Path) -> None:
    good, path, said = png_bytes(), tmp_path / "damaged.png", list[str]()
    for position in range(0, 200, 4):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :])
        try:
            read_rgb(path)
        except DataError as error:
            said.append(str(error))
    assert said
    assert all("damaged.png" in each for each in said)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no image .*nowhere\.png"):
        read_rgb(tmp_path / "nowhere.png")


def test_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no regular file"):
        read_rgb(tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_round_trip_is_exact_at_8_bit(tmp_path: Path, channels: int) -> None:
    image = torch.randint(0, 256, (channels, 5, 7)) / 255
    write_png(tmp_path / "out.png", image)
    assert torch.equal(read_rgb(tmp_path / "out.png"), image.expand(3, 5, 7))


def test_png_is_clipped_and_rounded(tmp_path: Path) -> None:
    image = torch.tensor([[[-0.5, 0.4 / 255, 0.6 / 255, 1.7]]])
    write_png(tmp_path / "out.png", image)
    assert (read_rgb(tmp_path / "out.png")[0] * 255).round().tolist() == [[0, 0, 1, 255]]


def test_png_appears_only_when_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.png"
    write_png(path, torch.zeros(1, 4, 4))
    before = path.read_bytes()

    def die_half_way(self: Image.Image, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", die_half_way)
    with pytest.raises(KeyboardInterrupt):
        write_png(path, torch.ones(1, 4, 4))
    assert path.read_bytes() == before


def test_folder_lists_its_pictures_by_name(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", ".a.png.part"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG"]


def test_missing_folder_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere; set data\.root"):
        list_images(tmp_path / "nowhere")


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        list_images(tmp_path)


def test_thirty_two_bit_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 5, dtype=np.int32)).save(tmp_path / "integers.tiff")
    with pytest.raises(DataError, match="whose range is unknown"):
        read_rgb(tmp_path / "integers.tiff")


@pytest.mark.parametrize("mode", ["rgb", "rgba"])
def test_16_bit_colour_keeps_its_depth(tmp_path: Path, mode: str) -> None:
    colours = (np.arange(5 * 7 * len(mode)).reshape(5, 7, len(mode)) * 467 + 1).astype(np.uint16)
    write_image_png_u16(str(tmp_path / "deep.png"), colours, mode=mode)
    read = read_rgb(tmp_path / "deep.png").double() * 65535
    assert np.abs(read.permute(1, 2, 0).numpy() - colours[..., :3]).max() < 0.01
