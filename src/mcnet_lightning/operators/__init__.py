"""What was measured: linear operators A with exact adjoints."""

from mcnet_lightning.operators.base import DiagonalGramOperator, MeasurementOperator
from mcnet_lightning.operators.blur import BlurDownsample
from mcnet_lightning.operators.checks import check_adjoint
from mcnet_lightning.operators.dense import DenseGram, DenseOperator, dense_gram
from mcnet_lightning.operators.fourier import FourierSampling, RealFourierSampling
from mcnet_lightning.operators.kernels import Kernel
from mcnet_lightning.operators.mask import Mask
from mcnet_lightning.operators.resize import (
    BicubicDownsample,
    BlurDecimation,
    KernelDownsample,
    resample,
    upsample_bicubic,
)
from mcnet_lightning.operators.sense import Sense
from mcnet_lightning.operators.tomography import ParallelBeam

__all__ = [
    "BicubicDownsample",
    "BlurDecimation",
    "BlurDownsample",
    "DenseGram",
    "DenseOperator",
    "DiagonalGramOperator",
    "FourierSampling",
    "Kernel",
    "KernelDownsample",
    "Mask",
    "MeasurementOperator",
    "ParallelBeam",
    "RealFourierSampling",
    "Sense",
    "check_adjoint",
    "dense_gram",
    "resample",
    "upsample_bicubic",
]
