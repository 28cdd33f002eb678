"""Convolutions together with the elementwise operation that follows, in as little time as PyTorch has for that.

On a CPU with matrix units an elementwise pass takes a quarter as long as the convolution before it. oneDNN can do both
at once; PyTorch offers that to its compiler only, as an operator without derivative. It is used for ReLU where a probe
finds that it gives what the plain operations give, and where nothing else is asked of the result: no tape, no autocast,
no tracing.
"""

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mcnet_lightning.files.private_apis import fused_convolution_relu

INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by their size in bytes


def channels_last(image: Tensor) -> Tensor:
    """The image laid out so that convolutions on it give channels-last features; with one channel that takes a view
    whose strides say so, or the first convolution would go the slow way.
    """
    if image.shape[1] != 1:
        return image.contiguous(memory_format=torch.channels_last)
    return image.reshape(len(image), *image.shape[2:], 1).permute(0, 3, 1, 2)


def convolve(features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Zero-padded to the same size."""
    plain = bias is None and features.device.type == "cpu" and features.dtype == weight.dtype == torch.float32
    if plain and len(weight) == 1:
        return _convolve_to_one(features, weight)
    return F.conv2d(features, weight, bias, padding=weight.shape[-1] // 2)


def convolve_relu(features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """relu(weight * features + bias)."""
    if bias is None and fuses(features, weight):
        return fused_convolution_relu(features, weight)
    return F.relu(convolve(features, weight, bias), inplace=True)


def convolutions(image: Tensor, weights: list[Tensor], biases: list[Tensor] | None = None) -> Tensor:
    """One after the other with ReLU between them, each in its weight's precision. Under autocast both ends stay in full
    precision: 1/255 is lost in half.
    """
    kind = image.device.type
    added: Sequence[Tensor | None] = biases or [None] * len(weights)
    with torch.autocast(kind, enabled=False):
        features = convolve_relu(channels_last(image), weights[0], added[0]).to(weights[1].dtype)
    for weight, bias in zip(weights[1:-1], added[1:-1], strict=True):
        features = convolve_relu(features, weight, bias)
    with torch.autocast(kind, enabled=False):
        return convolve(features.to(weights[-1].dtype), weights[-1], added[-1]).to(image.dtype)


def positive(features: Tensor, dtype: torch.dtype) -> Tensor:
    """Where non-negative features are positive: 1, else 0, in integers as wide as `dtype`."""
    return features.bool().to(INTEGERS[dtype.itemsize])


def convolve_where(features: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    """weight * features where `mask` from `positive` is 1, else 0; without tape.

    The mask multiplies the bits: a product of integers costs no conversion, and half of one of half-precision numbers.
    """
    with torch.no_grad():
        convolved = convolve(features, weight)
        convolved.view(mask.dtype).mul_(mask)
    return convolved


def fuses(features: Tensor, weight: Tensor) -> bool:
    """Whether a convolution of these and what follows it are one operation."""
    if features.device.type != "cpu" or features.dtype not in (torch.float32, torch.bfloat16):
        return False
    taped = torch.is_grad_enabled() and (features.requires_grad or weight.requires_grad)
    if taped or features.dtype != weight.dtype or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return False
    return fusing_works(features.dtype)


@cache
@torch.no_grad()
def fusing_works(dtype: torch.dtype) -> bool:
    """Whether oneDNN's fused convolutions exist in this PyTorch, for this processor, and compute what they should."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 16, 9, 9, generator=generator).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(16, 16, 3, 3, generator=generator).to(dtype, memory_format=torch.channels_last)
    plain = F.relu(convolve(features, weight))
    try:
        fused = fused_convolution_relu(features, weight)
    except (AttributeError, RuntimeError, TypeError):  # no such operator here, or another form of it
        return False
    tolerance = 2 * torch.finfo(dtype).eps
    return torch.allclose(fused, plain, rtol=tolerance, atol=tolerance * plain.max().item())


def _convolve_to_one(features: Tensor, weight: Tensor) -> Tensor:
    """To one channel: the products with each of the kernel's k x k places as one matrix product, then their sum shifted
    into place, in a third of the time of a convolution that has but one channel to fill vectors with.
    """
    size = weight.shape[-1]
    places = weight[0].permute(1, 2, 0).reshape(size * size, -1, 1, 1)
    shifts = torch.eye(size * size, dtype=weight.dtype).view(1, size * size, size, size)
    return F.conv2d(F.conv2d(features, places), shifts, padding=size // 2)
