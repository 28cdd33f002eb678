"""Rescaling by the image's extremes, as the published models do it, around a denoiser F; and its derivative.

    R(v) = (F(s) + m/2) / k + low,   s = (v - low) k - m/2,   k = (1 + m) / (high - low)

with low and high the extremes of the sample v, so that s fills [-m/2, 1 + m/2].
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mcnet_lightning.equilibrium import SelectableMap

MARGIN = 0.09375  # m of the published models
SMALLEST = 1e-6  # high - low of a constant image


def stretched(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """s, low and k."""
    low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
    stretch = (1 + MARGIN) / (high - low).clamp_min(SMALLEST)
    return (image - low) * stretch - MARGIN / 2, low, stretch


def shrunk(cleaned: Tensor, low: Tensor, stretch: Tensor) -> Tensor:
    """R(v) from F(s)."""
    return (cleaned + MARGIN / 2) / stretch + low


@torch.no_grad()
def shrunk_products(
    image: Tensor, cleaned: Tensor, jvp: SelectableMap, vjp: Callable[[Tensor], Tensor]
) -> tuple[SelectableMap, Callable[[Tensor], Tensor]]:
    """The products of R at v = `image` from F(s) and those of F at s. Derivatives of low and high are those of the
    pixels that they come from, the mean of several.
    """
    scaled, low, k = stretched(image)
    high = image.amax(dim=(1, 2, 3), keepdim=True)
    at_low, at_high = (where / _sum(where) for where in ((image == low).to(image), (image == high).to(image)))
    spread = high - low
    at_spread = (at_high - at_low) * (spread > SMALLEST)
    of_scaled, of_result = (part + MARGIN / 2 for part in (scaled, cleaned))
    parts = at_low, at_spread, k, of_scaled / spread.clamp_min(SMALLEST), of_result / (1 + MARGIN)

    def transposed(direction: Tensor) -> Tensor:
        pulled = vjp(direction / k)
        to_spread = _sum(parts[4] * direction - parts[3] * pulled)
        return k * pulled + at_low * _sum(direction - k * pulled) + at_spread * to_spread

    return _Shrunk(jvp, *parts), transposed


class _Shrunk:
    """d -> R'(v) d."""

    def __init__(self, product: SelectableMap, *parts: Tensor) -> None:
        self.product, self.parts = product, parts

    def __call__(self, direction: Tensor) -> Tensor:
        at_low, at_spread, k, of_scaled, of_result = self.parts
        low, spread = _sum(at_low * direction), _sum(at_spread * direction)
        return self.product(k * (direction - low) - of_scaled * spread) / k + of_result * spread + low

    def select(self, index: Tensor) -> "_Shrunk":
        return _Shrunk(self.product.select(index), *(part[index] for part in self.parts))


def _sum(image: Tensor) -> Tensor:
    return image.sum(dim=(1, 2, 3), keepdim=True)
