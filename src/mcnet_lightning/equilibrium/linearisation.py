"""What a bound denoiser may offer so that most of a solve runs in half precision; without it all of it runs in full."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.parts import SelectableMap


class Linearisation(NamedTuple):
    """R at one batch of images v, (B, C, H, W): R(v), u -> R'(v) u, and u -> R'(v)^T u.

    The value is exact and on the tape; the tape and the products, without tape of their own, are in half precision.
    """

    value: Tensor
    jvp: SelectableMap
    vjp: Callable[[Tensor], Tensor]


@runtime_checkable
class Roundable(Protocol):
    """R, with all that 1/255 would be lost in kept in full precision, and the rest in `dtype`; without tape."""

    def __call__(self, image: Tensor, /) -> Tensor: ...

    def rounded(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]: ...


@runtime_checkable
class Linearisable(Roundable, Protocol):
    """R that can be linearised at an image, with products in `dtype`; or not, then None."""

    def linearise(self, image: Tensor, dtype: torch.dtype) -> Linearisation | None: ...


class Tangent:
    """v -> R(v_0) + R'(v_0) (v - v_0), without tape.

    The error is a share of ||v - v_0||, some 3 % where that is 1e-2 ||v||, and falls with the distance: fewer units of
    a ReLU network then change sign between the two. What remains is rounding.
    """

    def __init__(self, image: Tensor, value: Tensor, jvp: SelectableMap) -> None:
        self.image, self.value, self.jvp = image, value, jvp

    def __call__(self, image: Tensor) -> Tensor:
        return self.value + self.jvp(image - self.image)

    def select(self, index: Tensor) -> "Tangent":
        return Tangent(self.image[index], self.value[index], self.jvp.select(index))
