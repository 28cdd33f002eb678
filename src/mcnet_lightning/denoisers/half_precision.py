"""A chain of convolutions in half precision, where that is exact enough: a value, its tangent, a transposed product.

The convolutions dominate every solve, and bfloat16 makes them two (AVX512-BF16) to eight (AMX) times as fast. Each use
bounds what rounding can do: `RoundedChain` is off by a fixed amount, `TangentChain` by a share of the distance from a
point at which it is exact, `LinearisedChain` by a share of its result.
"""

from copy import copy
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_weight

from mcnet_lightning.denoisers.convolution import convolve, convolve_relu, convolve_where, positive
from mcnet_lightning.denoisers.tiles import in_tiles


def channels_last(image: Tensor) -> Tensor:
    """The image laid out so that convolutions on it give channels-last features; with one channel that takes a view
    whose strides say so, or the first convolution would go the slow way.
    """
    if image.shape[1] != 1:
        return image.contiguous(memory_format=torch.channels_last)
    return image.reshape(len(image), *image.shape[2:], 1).permute(0, 3, 1, 2)


class RoundedChain:
    """N(v), (B, C, H, W), of a chain N of convolutions (zero-padded, no bias) with ReLU between them, all but the first
    of them in `dtype`: 1/255 is lost in half. Off by some 5e-4 of N(v).
    """

    def __init__(self, weights: list[Tensor], dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.first = weights[0].detach()
        self.rest = _laid_out(weights[1:], dtype)
        self.reach = sum(weight.shape[-1] // 2 for weight in weights)

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        return in_tiles(self._whole, image, self.reach)

    def _whole(self, image: Tensor) -> Tensor:
        features = convolve_relu(channels_last(image), self.first).to(self.dtype)
        for weight in self.rest[:-1]:
            features = convolve_relu(features, weight)
        return convolve(features, self.rest[-1]).to(image.dtype)


class TangentChain:
    """N(v), exact at the first v that it is asked for; afterwards N(v_0) + N'(v_0) (v - v_0), the product in `dtype`.

    The error is a share of ||v - v_0||, some 3 % where that is 1e-2 ||v||, and falls with the distance: fewer units
    then change sign between the two. What remains is rounding, 4e-3.
    """

    def __init__(self, weights: list[Tensor], dtype: torch.dtype) -> None:
        self.exact = [weight.detach() for weight in weights]
        self.weights = _laid_out(self.exact, dtype)
        self.dtype = dtype
        self.image: Tensor | None = None
        self.value: Tensor
        self.masks: list[Tensor] = []  # of every layer but the last

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        if self.image is None:
            self.image, self.value = image, self._begin(image)
            return self.value
        features = channels_last((image - self.image).to(self.dtype))
        for weight, mask in zip(self.weights[:-1], self.masks, strict=True):
            features = convolve_where(features, weight, mask)
        return self.value + convolve(features, self.weights[-1]).to(image.dtype)

    def select(self, index: Tensor) -> "TangentChain":
        """For some samples, exact at the same images."""
        if self.image is None:
            return self
        chosen = copy(self)
        chosen.image, chosen.value = self.image[index], self.value[index]
        chosen.masks = [mask[index] for mask in self.masks]
        return chosen

    def _begin(self, image: Tensor) -> Tensor:
        features = channels_last(image)
        for weight in self.exact[:-1]:
            features = convolve_relu(features, weight)
            self.masks.append(positive(features, self.dtype))
        return convolve(features, self.exact[-1])


class LinearisedChain:
    """N(v), exact and on the tape; afterwards the products N'(v)^T u, as plain convolutions in `dtype`.

    The tape's backward pass computes in `dtype`, too, from the exact activations. What autograd does product by product
    (casts, thresholds, bookkeeping) is done once.
    """

    def __init__(self, weights: list[Tensor], dtype: torch.dtype) -> None:
        self.weights, self.dtype = weights, dtype
        self.transposed = _laid_out([weight.flip(2, 3).transpose(0, 1) for weight in weights], dtype)
        self.inputs: list[Tensor] = []  # of every convolution, in `dtype`
        self.masks: list[Tensor] = []  # of every input but the first

    def __call__(self, image: Tensor) -> Tensor:
        value: Tensor = _HalfBackward.apply(self, image, *self.weights)
        return value

    @torch.no_grad()
    def transposed_product(self, direction: Tensor) -> Tensor:
        """N'(v)^T u, (B, C, H, W)."""
        features = channels_last(direction.to(self.dtype))
        for weight, mask in zip(self.transposed[:0:-1], reversed(self.masks), strict=True):
            features = convolve_where(features, weight, mask)
        return convolve(features, self.transposed[0]).to(direction.dtype)

    def forward(self, image: Tensor) -> Tensor:
        features = channels_last(image)
        for weight in self.weights[:-1]:
            self.inputs.append(features.to(self.dtype))
            features = convolve_relu(features, weight)
        self.inputs.append(features.to(self.dtype))
        self.masks = [positive(features, self.dtype) for features in self.inputs[1:]]
        return convolve(features, self.weights[-1])

    def backward(self, gradient: Tensor) -> tuple[Tensor, ...]:
        """The gradients of the image and of every weight."""
        features = channels_last(gradient.to(self.dtype))
        of_weights: list[Tensor] = []
        for layer in reversed(range(len(self.weights))):
            weight = self.weights[layer]
            of_weight = conv2d_weight(self.inputs[layer], weight.shape, features, padding=weight.shape[-1] // 2)
            of_weights.insert(0, of_weight.to(weight.dtype))
            transposed = self.transposed[layer]
            features = (
                convolve_where(features, transposed, self.masks[layer - 1]) if layer else convolve(features, transposed)
            )
        return features.to(gradient.dtype), *of_weights


class _HalfBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, chain: LinearisedChain, image: Tensor, *_: Tensor) -> Tensor:
        ctx.chain = chain
        return chain.forward(image)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.chain.backward(gradient)


def _laid_out(weights: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    return [weight.detach().to(dtype).contiguous(memory_format=torch.channels_last) for weight in weights]
