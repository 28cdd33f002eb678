"""Pictures of people: the reader and its type, which live where data sets find them too."""

from mcnet_lightning.imaging.picture import MAX_MEGAPIXELS, MAX_SIDE, Picture
from mcnet_lightning.imaging.reading import read_picture

__all__ = ["MAX_MEGAPIXELS", "MAX_SIDE", "Picture", "read_picture"]
