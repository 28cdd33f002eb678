"""The transposed Jacobian of a convolution chain at one image, as plain convolutions in a chosen precision.

What autograd does product by product (casts, thresholds, bookkeeping) is done once; the bfloat16 products of a
training step then take about a quarter less time on a CPU with matrix units.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def channels_last(image: Tensor) -> Tensor:
    """The image laid out so that convolutions on it give channels-last features; with one channel that takes a view
    whose strides say so, or the first convolution would go the slow way.
    """
    if image.shape[1] != 1:
        return image.contiguous(memory_format=torch.channels_last)
    return image.reshape(len(image), *image.shape[2:], 1).permute(0, 3, 1, 2)


class LinearisedChain:
    """N'(v)^T of a chain N of convolutions (zero-padded, no bias) with ReLU between them, for v = `image` (B, C, H, W).

    dtype: of the convolutions; arguments and results keep their own.
    """

    @torch.no_grad()
    def __init__(self, image: Tensor, weights: list[Tensor], dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.padding = weights[0].shape[-1] // 2
        transposed = [weight.detach().flip(2, 3).transpose(0, 1) for weight in weights]
        self.transposed = [*(_laid_out(weight, dtype) for weight in transposed[:-1]), transposed[-1]]
        self.masks: list[Tensor] = []  # of the same dtype: a product with a boolean costs five times as much
        # the first convolution in the image's own precision: 1/255 is lost in half
        features = F.conv2d(channels_last(image), weights[0].detach(), padding=self.padding)
        features = F.relu(features, inplace=True).to(dtype)
        for weight in weights[1:-1]:
            self.masks.append(features.sign())
            features = F.relu(self._convolve(features, _laid_out(weight.detach(), dtype)), inplace=True)
        self.masks.append(features.sign_())

    @torch.no_grad()
    def transposed_product(self, direction: Tensor) -> Tensor:
        """N'(v)^T u, (B, C, H, W)."""
        features = channels_last(direction)  # the last convolution's transpose in full precision, too
        for weight, mask in zip(self.transposed[:0:-1], reversed(self.masks), strict=True):
            features = self._convolve(features, weight).to(self.dtype).mul_(mask)
        return self._convolve(features, self.transposed[0]).to(direction.dtype)

    def _convolve(self, features: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(features, weight, padding=self.padding)


def _laid_out(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.to(dtype).contiguous(memory_format=torch.channels_last)
