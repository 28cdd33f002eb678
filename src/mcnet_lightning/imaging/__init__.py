"""Pictures: colour and files."""

from mcnet_lightning.imaging.colour import rgb_to_gray, rgb_to_luma
from mcnet_lightning.imaging.io import list_images, read_rgb, write_png
from mcnet_lightning.imaging.pairing import find_picture
from mcnet_lightning.imaging.picture import Picture
from mcnet_lightning.imaging.reading import read_picture

__all__ = [
    "Picture",
    "find_picture",
    "list_images",
    "read_picture",
    "read_rgb",
    "rgb_to_gray",
    "rgb_to_luma",
    "write_png",
]
