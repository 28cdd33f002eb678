"""Pictures: colour, files, and how a protocol makes LR from HR."""

from mcnet_lightning.imaging.colour import rgb_to_luma
from mcnet_lightning.imaging.degradation import Degradation, Observation
from mcnet_lightning.imaging.io import list_images, read_rgb, write_png
from mcnet_lightning.imaging.pairing import find_picture
from mcnet_lightning.imaging.perturbation import Perturbation
from mcnet_lightning.imaging.picture import Picture
from mcnet_lightning.imaging.reading import read_picture

__all__ = [
    "Degradation",
    "Observation",
    "Perturbation",
    "Picture",
    "find_picture",
    "list_images",
    "read_picture",
    "read_rgb",
    "rgb_to_luma",
    "write_png",
]
