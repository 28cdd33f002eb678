"""Pictures in and out: files on one side, tensors (3, H, W) in [0, 1] on the other."""

from pathlib import Path

import numpy as np
import torch
from kornia_rs.io import read_image_png_u16
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from mcnet_lightning.errors import DataError
from mcnet_lightning.files import staged

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
SIXTEEN_BIT_COLOUR = ("RGB;16B", "RGBA;16B")  # how Pillow calls what it would cut to 8 bit
SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L")
THIRTY_TWO_BIT_MODES = ("I", "F")


def read_rgb(path: str | Path) -> Tensor:
    """(3, H, W) float32 in [0, 1]; gray is repeated, palettes are resolved, alpha is dropped.

    16-bit gray and PNG colour keep their depth. Raises DataError if the file is missing, is no picture,
    or holds 32-bit pixels, whose range nothing tells.
    """
    try:
        with Image.open(path) as picture:
            if picture.format == "PNG" and picture.tile and picture.tile[0].args in SIXTEEN_BIT_COLOUR:
                pixels = read_image_png_u16(str(path), mode=picture.mode.lower())
                return torch.from_numpy(np.asarray(pixels)[..., :3].astype(np.float32) / 65535).permute(2, 0, 1)
            picture.load()
            if picture.mode in SIXTEEN_BIT_MODES:
                gray = np.asarray(picture).astype(np.float32) / 65535
                return torch.from_numpy(np.stack([gray] * 3))
            if picture.mode in THIRTY_TWO_BIT_MODES:
                raise DataError(f"{path} holds 32-bit pixels, whose range is unknown; save it with 8 or 16 bit")
            return rgb_tensor(np.asarray(picture.convert("RGB")))
    except FileNotFoundError:
        raise DataError(f"there is no image {path}; check the path") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image ({error}); remove or replace it") from None


def rgb_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 array (H, W), (H, W, 3) or (H, W, 4) -> (3, H, W) float32 in [0, 1]."""
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    return torch.from_numpy(pixels[..., :3].copy()).permute(2, 0, 1).float() / 255


def write_png(path: str | Path, image: Tensor) -> None:
    """Writes (1 or 3, H, W), clipped to [0, 1] and rounded to 8 bit, under its final name only when complete."""
    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    with staged(path) as temporary:
        Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(temporary, format="PNG")


def list_images(folder: str | Path) -> list[Path]:
    """Picture files of a folder, sorted by name. Raises DataError if the folder is missing or holds none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; set data.root to the folder that holds train/ and test/")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)
    if not paths:
        raise DataError(f"{folder} holds no images ({', '.join(EXTENSIONS)})")
    return paths
