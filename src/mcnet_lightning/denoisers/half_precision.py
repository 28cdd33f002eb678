"""A chain of convolutions, linearised at one image, with the products in half precision, where that is exact enough.

The convolutions dominate every solve, and bfloat16 makes them two (AVX512-BF16) to eight (AMX) times as fast. The value
is exact, and its products are off by a share of their result, some 4e-3.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_weight

from mcnet_lightning.denoisers.convolution import channels_last, convolve, convolve_relu, convolve_where, positive


class HalfChain:
    """N(v), (B, C, H, W), of a chain N of convolutions (zero-padded, no bias) with ReLU between them: exact, and on a
    tape that goes backwards in `dtype` from the exact activations.

    With it come masks, where each layer's features are positive, and from these the products, as plain convolutions in
    `dtype`. What autograd does product by product (casts, thresholds, bookkeeping) is done once.
    """

    def __init__(self, weights: list[Tensor], dtype: torch.dtype) -> None:
        self.weights, self.dtype = weights, dtype

    @cached_property
    def forwards(self) -> list[Tensor]:
        """The convolutions of N'."""
        return laid_out(self.weights, self.dtype)

    @cached_property
    def backwards(self) -> list[Tensor]:
        """The convolutions of N'^T, in its order."""
        return laid_out([weight.flip(2, 3).transpose(0, 1) for weight in reversed(self.weights)], self.dtype)

    def __call__(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        masks = list[Tensor]()
        value: Tensor = _HalfBackward.apply(image, self, masks, torch.is_grad_enabled(), *self.weights)
        return value, masks


class _HalfBackward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, image: Tensor, chain: HalfChain, masks: list[Tensor], taped: bool, *weights: Tensor
    ) -> Tensor:
        ctx.chain, ctx.masks, ctx.inputs = chain, masks, []
        features = channels_last(image)
        for weight in weights[:-1]:
            if taped:
                ctx.inputs.append(features.to(chain.dtype))
            features = convolve_relu(features, weight)
            masks.append(positive(features, chain.dtype))
        if taped:
            ctx.inputs.append(features.to(chain.dtype))
        return convolve(features, weights[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the image and of every weight."""
        features = channels_last(gradient.to(ctx.chain.dtype))
        of_weights = list[Tensor]()
        layers = zip(
            ctx.chain.weights[::-1], ctx.chain.backwards, ctx.inputs[::-1], [*ctx.masks[::-1], None], strict=True
        )
        for weight, transposed, inputs, mask in layers:
            of_weight = conv2d_weight(inputs, weight.shape, features, padding=weight.shape[-1] // 2)
            of_weights.insert(0, of_weight.to(weight.dtype))
            features = convolve(features, transposed) if mask is None else convolve_where(features, transposed, mask)
        return features.to(gradient.dtype), None, None, None, *of_weights


class MaskedChain:
    """u -> combine(u, C u) for C = N'(v) or N'(v)^T, without tape: convolutions in the weights' precision, with masks
    in place of ReLU. Off by a share of the result. A sample is `planes` images of the network's channels.
    """

    def __init__(
        self,
        weights: list[Tensor],
        masks: list[Tensor],
        combine: Callable[[Tensor, Tensor], Tensor],
        planes: int = 1,
    ) -> None:
        self.weights, self.masks, self.combine, self.planes = weights, masks, combine, planes

    @torch.no_grad()
    def __call__(self, direction: Tensor) -> Tensor:
        own = direction.reshape(-1, direction.shape[1] // self.planes, *direction.shape[-2:])
        features = channels_last(own.to(self.weights[0].dtype))
        for weight, mask in zip(self.weights[:-1], self.masks, strict=True):
            features = convolve_where(features, weight, mask)
        return self.combine(own, convolve(features, self.weights[-1]).to(direction.dtype)).reshape(direction.shape)

    def select(self, index: Tensor) -> "MaskedChain":
        """For some samples."""
        rows = (index[:, None] * self.planes + torch.arange(self.planes, device=index.device)).flatten()
        return MaskedChain(self.weights, [mask[rows] for mask in self.masks], self.combine, self.planes)


def laid_out(weights: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Without tape, in `dtype`, as convolutions want them."""
    return [weight.detach().to(dtype).contiguous(memory_format=torch.channels_last) for weight in weights]
