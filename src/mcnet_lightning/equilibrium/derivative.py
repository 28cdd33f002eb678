"""The projection onto the measurement ball as a function with a derivative: implicit, no iteration is unrolled.

With q - A^T z, (t I + A A^T) z = A q - b, the derivative is P' = I - A^T W A (see gram.py), symmetric.
"""

from typing import Any

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.gram import Gram, inner, norm, per_sample, widened
from mcnet_lightning.errors import ConfigError

ROUNDING = 4  # units in the last place of ||b|| + ||A|| ||x||, within which a measurement counts as met


def rounding(image: Tensor, measurement: Tensor, gram: Gram) -> Tensor:
    """What arithmetic may leave of a distance ||A x - b||, (B,)."""
    return ROUNDING * gram.operator.resolution(image.dtype) * (norm(measurement) + gram.norm * norm(image))


class Weight:
    """W = (t I + A A^T)^{-1} + (t / k) p p^T in the coordinates of a Gram: see gram.py. Zero inside the ball."""

    def __init__(self, gram: Gram, multiplier: Tensor, shift: Tensor) -> None:
        self.gram, self.shift = gram, shift
        finite = shift.where(torch.isfinite(shift), 0.0)
        self.curved = bool((finite > 0).any())
        if self.curved:
            self.p = gram.inverse(multiplier, shift)
            curvature = inner(multiplier, multiplier) - finite * inner(multiplier, self.p)
            self.share = torch.where((curvature > 0) & (finite > 0), finite / curvature.where(curvature > 0, 1.0), 0.0)

    def __call__(self, coefficients: Tensor) -> Tensor:
        weighed = self.gram.inverse(coefficients, self.shift)
        if self.curved:
            weighed = weighed + per_sample(self.share * inner(coefficients, self.p), self.p) * self.p
        return weighed


class Projection(torch.autograd.Function):
    """q - A^T z of q, b and epsilon, with the implicit derivative: no iteration is unrolled."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, measurement: Tensor, radius: Tensor, gram: Gram) -> Tensor:
        residual = gram.operator(image) - measurement
        found = gram.correct(residual, widened(radius), rounding(image, measurement, gram))
        ctx.gram = gram
        ctx.save_for_backward(image, measurement, radius, found.multiplier, found.shift)
        return image - found.image

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        *leaves, multiplier, shift = ctx.saved_tensors
        curved = bool(((shift > 0) & torch.isfinite(shift)).any())
        guards = [_OnceDifferentiable.apply(leaf) for leaf in leaves] if curved else []
        found: tuple[Tensor, Tensor, Tensor] = _Pullback.apply(gradient, ctx.gram, multiplier, shift, *guards)
        return *found, None


class _Pullback(torch.autograd.Function):
    """g -> (P' g, W A g, <A g, p> ||z|| / k): what a cotangent of x is for q, b and epsilon. Linear in g, so that its
    own derivative in g, its transpose, is exact; `guards` refuse those in q, b and epsilon.
    """

    @staticmethod
    def forward(
        ctx: Any, gradient: Tensor, gram: Gram, multiplier: Tensor, shift: Tensor, *guards: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        weight = Weight(gram, multiplier, shift)
        ctx.weight, ctx.multiplier, ctx.guards = weight, multiplier, guards
        seen = gram.to_coordinates(gram.operator(gradient))
        weighed = weight(seen)
        of_radius = inner(seen, weight.p) * _radius_weight(weight, multiplier) if weight.curved else shift * 0
        of_radius = torch.nan_to_num(of_radius, nan=0.0).to(gradient.dtype)
        return gradient - gram.to_image(weighed), gram.from_coordinates(weighed).to(gradient), of_radius

    @staticmethod
    def backward(ctx: Any, of_image: Tensor, of_measurement: Tensor, of_radius: Tensor) -> tuple[Any, ...]:
        weight, gram = ctx.weight, ctx.weight.gram
        total = weight(gram.to_coordinates(of_measurement - gram.operator(of_image)))
        if weight.curved:
            factor = widened(of_radius) * _radius_weight(weight, ctx.multiplier)
            total = total + per_sample(factor, weight.p) * weight.p
        zeros = [torch.zeros_like(guard) for guard in ctx.guards]
        return of_image + gram.to_image(total), None, None, None, *zeros


def _radius_weight(weight: Weight, multiplier: Tensor) -> Tensor:
    """||z|| / k, zero where the radius does not act."""
    finite = weight.shift.where(torch.isfinite(weight.shift) & (weight.shift > 0), 1.0)
    return weight.share / finite * norm(multiplier)


class _OnceDifferentiable(torch.autograd.Function):
    """The identity, through which no gradient comes back."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise ConfigError(
            "a projection with epsilon > 0 is differentiable once, and its second derivative was asked for; take "
            "epsilon=0, or first derivatives only"
        )
