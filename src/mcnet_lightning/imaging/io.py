"""Pictures of data sets in, results out: files on one side, tensors (3, H, W) in [0, 1] on the other."""

from pathlib import Path

from PIL import Image
from torch import Tensor

from mcnet_lightning.errors import DataError
from mcnet_lightning.files import staged
from mcnet_lightning.files.naming import EXTENSIONS, is_picture_name
from mcnet_lightning.imaging.reading import read_picture


def read_rgb(path: str | Path) -> Tensor:
    """(3, H, W) float32 of what `read_picture` reads: gray is repeated, alpha is dropped.

    float32 tells all levels of 16 bit apart. Raises DataError, in one sentence, for what is no such picture.
    """
    return read_picture(path).colour.float().expand(3, -1, -1).contiguous()


def write_png(path: str | Path, image: Tensor) -> None:
    """Writes (1 or 3, H, W), clipped to [0, 1] and rounded to 8 bit, under its final name only when complete."""
    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    with staged(path) as temporary:
        Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(temporary, format="PNG")


def list_images(folder: str | Path) -> list[Path]:
    """Picture files of a folder, sorted by name, without hidden ones such as the `._x.png` that macOS leaves.

    Raises DataError if the folder is missing or holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; set data.root to the folder that holds train/ and test/")
    paths = sorted(path for path in folder.iterdir() if is_picture_name(path, EXTENSIONS) and not path.is_dir())
    if not paths:
        raise DataError(f"{folder} holds no images ({', '.join(EXTENSIONS)})")
    return paths
