"""In-painting: the measurement is the image where a mask is one, and zero elsewhere."""

from copy import copy
from typing import ClassVar, Self

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import DiagonalGramOperator, Size, short_digest


class Mask(DiagonalGramOperator):
    """b = M x with a fixed binary mask, (H, W) for all images or (B, C or 1, H, W), one for each sample; A^T = A and
    A A^T = I on the observed pixels.

    What b holds outside the mask cannot have been measured and is ignored.
    """

    channels: ClassVar = 1

    def __init__(self, mask: Tensor) -> None:
        if mask.ndim not in (2, 4) or not torch.all((mask == 0) | (mask == 1)):
            raise ConfigError(
                "a mask is a matrix (H, W) of zeros and ones, or (B, 1, H, W), one for each sample, got shape "
                f"{tuple(mask.shape)}"
            )
        with torch.inference_mode(False):
            self.mask = mask.clone()
        self.digest = short_digest(mask.bool())
        self.image_shape = (self.channels, *mask.shape[-2:])

    @property
    def name(self) -> str:
        return f"mask-{self.mask.shape[-2]}x{self.mask.shape[-1]}-{self.digest}"

    def measurement_size(self, image_size: Size) -> Size:
        own = tuple(self.mask.shape[-2:])
        if tuple(image_size) != own:
            raise ConfigError(f"the mask is for images of size {own}, got {tuple(image_size)}")
        return image_size

    def image_size(self, measurement_size: Size) -> Size:
        return self.measurement_size(measurement_size)

    def seen(self, values: Tensor) -> Tensor:
        """The values (B, ..., H, W) where the mask is one, and zero elsewhere."""
        return values * self._mask_like(values)

    def _mask_like(self, values: Tensor) -> Tensor:
        """The mask in dtype and on device of values (B, ..., H, W), for whose samples it must be."""
        self.measurement_size((values.shape[-2], values.shape[-1]))
        if self.mask.ndim == 4 and len(self.mask) not in (1, len(values)):
            raise ConfigError(f"{len(self.mask)} masks, one for each sample, do not fit {len(values)} samples")
        if self.mask.dtype != values.dtype or self.mask.device != values.device:
            with torch.inference_mode(False):  # kept, so that it may be saved for a backward pass
                self.mask = self.mask.to(values.device, values.dtype)
        return self.mask

    def __call__(self, image: Tensor) -> Tensor:
        return self.seen(image)

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        return self.seen(measurement)

    def measured(self, measurement: Tensor) -> Tensor:
        return self.seen(measurement)

    def select(self, index: Tensor) -> Self:
        if self.mask.ndim == 2 or len(self.mask) == 1:
            return self
        chosen = copy(self)
        with torch.inference_mode(False):
            chosen.mask = self.mask[index.to(self.mask.device)]
        return chosen

    def to_gram_basis(self, measurement: Tensor, image_size: Size) -> Tensor:
        return self.seen(measurement)

    def from_gram_basis(self, coefficients: Tensor, image_size: Size) -> Tensor:
        return coefficients

    def pseudo_inverse(self, measurement: Tensor, image_size: Size) -> Tensor:
        return self.adjoint(measurement, image_size)

    def gram_eigenvalues(self, image_size: Size, like: Tensor) -> Tensor:
        return torch.ones((), dtype=like.dtype, device=like.device).expand(like.shape[1:])
