"""Pictures: colour, files, and how a protocol makes LR from HR."""

from mcnet_lightning.imaging.colour import rgb_to_luma
from mcnet_lightning.imaging.degradation import Degradation, Observation
from mcnet_lightning.imaging.io import list_images, read_rgb, rgb_tensor, write_png
from mcnet_lightning.imaging.pairing import find_picture
from mcnet_lightning.imaging.perturbation import Perturbation

__all__ = [
    "Degradation",
    "Observation",
    "Perturbation",
    "find_picture",
    "list_images",
    "read_rgb",
    "rgb_tensor",
    "rgb_to_luma",
    "write_png",
]
