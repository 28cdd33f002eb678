"""The learned prior R and what bounds it."""

from mcnet_lightning.denoisers.dncnn import DnCNN
from mcnet_lightning.denoisers.lipschitz import ConvolutionNorm, convolution_norm_bound

__all__ = ["ConvolutionNorm", "DnCNN", "convolution_norm_bound"]
