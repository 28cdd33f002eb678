"""Image sets, patches, and the disk cache of frozen backbones' outputs."""

from mcnet_lightning.data.cache import cached_prior
from mcnet_lightning.data.datamodule import MeasurementDataModule, WholeImages
from mcnet_lightning.data.patches import TrainingSet, cut_patches, orient, whole_images
from mcnet_lightning.data.sources import NamedImage, load_images

__all__ = [
    "MeasurementDataModule",
    "NamedImage",
    "TrainingSet",
    "WholeImages",
    "cached_prior",
    "cut_patches",
    "load_images",
    "orient",
    "whole_images",
]
