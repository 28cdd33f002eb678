"""The learned prior R and what bounds it."""

from mcnet_lightning.denoisers.biased import BiasedDnCNN, is_published_dncnn, read_published_dncnn
from mcnet_lightning.denoisers.dncnn import DnCNN
from mcnet_lightning.denoisers.lipschitz import ConvolutionNorm, convolution_norm_bound

__all__ = [
    "BiasedDnCNN",
    "ConvolutionNorm",
    "DnCNN",
    "convolution_norm_bound",
    "is_published_dncnn",
    "read_published_dncnn",
]
