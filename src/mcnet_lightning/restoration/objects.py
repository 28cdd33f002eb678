"""Images in memory, NumPy, PIL and torch: to a picture as `read_picture` would read it, and back to the same kind."""

from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from PIL.ImageFile import ImageFile
from torch import Tensor

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging.picture import FLOAT_DEPTH, MAX_CHANNELS, Picture, Samples, picture_of, profile_for
from mcnet_lightning.imaging.pillow_images import check_frames, image_samples
from mcnet_lightning.imaging.reading import read_picture

ImageLike = TypeVar("ImageLike", np.ndarray, Image.Image, Tensor)
WHITE = {"uint8": 255, "uint16": 65535}
DEPTH = {"uint8": 8, "uint16": 16}
NAME = "the image"


def picture_from(image: np.ndarray | Image.Image | Tensor) -> Picture:
    """Raises DataError, in one sentence, for what is no image, or one whose range or colours are not known."""
    if isinstance(image, Image.Image):
        return _picture_from_pillow(image)
    if isinstance(image, Tensor):
        kind, shape = str(image.dtype).removeprefix("torch."), tuple(image.shape)
        fits = image.ndim == 3 and 1 <= shape[0] <= MAX_CHANNELS
    else:
        kind, shape = image.dtype.name, image.shape  # the name says nothing of the byte order
        fits = image.ndim == 2 or (image.ndim == 3 and 1 <= shape[2] <= MAX_CHANNELS)
    floating = kind.startswith(("float", "bfloat"))
    if not fits or not (floating or kind in WHITE) or 0 in shape:
        raise DataError(
            f"no image: {kind} of shape {shape}; give uint8, uint16 or floats in [0, 1], 1 to {MAX_CHANNELS} channels"
        )
    array = image.detach().cpu().double().permute(1, 2, 0).numpy() if isinstance(image, Tensor) else image
    return picture_of(Samples(array, WHITE.get(kind, 1), DEPTH.get(kind, FLOAT_DEPTH)), NAME)


def _picture_from_pillow(image: Image.Image) -> Picture:
    """From its file while Pillow has decoded nothing, which it does not do without loss; else from what it decoded."""
    path = Path(str(getattr(image, "filename", "") or ""))
    picture = None
    if isinstance(image, ImageFile) and image.tile and path.is_file():
        picture = read_picture(path)
    if picture is None or sorted(picture.size) != sorted(image.size):  # a JPEG may have been asked for smaller
        check_frames(NAME, image)
        picture = picture_of(image_samples(image, NAME), NAME)
    channels = len(joined(picture))
    if picture.depth != 8 and channels > 1:
        raise DataError(
            f"Pillow has no image of {channels} channels at {picture.depth} bit; give the picture as a NumPy array"
        )
    return picture


def white_of(picture: Picture) -> int | None:
    """The largest level that the object can hold; None for floats."""
    return None if picture.depth == FLOAT_DEPTH else 2**picture.depth - 1


def joined(picture: Picture) -> Tensor:
    """(C, H, W), alpha last."""
    return picture.colour if picture.alpha is None else torch.cat([picture.colour, picture.alpha])


def object_like(image: ImageLike, samples: Tensor, picture: Picture) -> ImageLike:
    """`samples` (C, H, W), levels or floats, as the same kind of object as `image`, which `picture` was made from."""
    if isinstance(image, Tensor):
        return samples.to(image.device, image.dtype)
    array = samples.permute(1, 2, 0).numpy()
    if isinstance(image, Image.Image):
        return _pillow_image(array, picture)
    return (array[..., 0] if image.ndim == 2 else array).astype(image.dtype)


def _pillow_image(array: np.ndarray, picture: Picture) -> Image.Image:
    array = array.astype({8: np.uint8, 16: np.uint16, FLOAT_DEPTH: np.float32}[picture.depth])
    made = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else np.ascontiguousarray(array))
    if profile := profile_for(len(picture.colour), picture.icc):
        made.info["icc_profile"] = profile
    return made
