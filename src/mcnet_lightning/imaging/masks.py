"""Masks from pictures."""

from typing import Annotated

from mcnet_lightning.imaging.reading import read_picture
from mcnet_lightning.operators.mask import Mask


def mask_of_picture(mask: Annotated[str, {"path": "file"}]) -> Mask:
    """In-painting.

    mask: picture of the images' size: white pixels were measured, black ones not
    """
    return Mask((read_picture(mask).colour.mean(dim=0) > 0.5).double())
