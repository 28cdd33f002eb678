"""In-painting: the measurement is the image where a mask is one, and zero elsewhere."""

import hashlib

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import DiagonalGramOperator, Size


class Mask(DiagonalGramOperator):
    """b = M x with a fixed binary mask (H, W); A^T = A and A A^T = I on the observed pixels.

    What b holds outside the mask cannot have been measured and is ignored.
    """

    def __init__(self, mask: Tensor) -> None:
        if mask.ndim != 2 or not torch.all((mask == 0) | (mask == 1)):
            raise ConfigError(f"a mask is a matrix (H, W) of zeros and ones, got shape {tuple(mask.shape)}")
        self.mask = mask

    @property
    def name(self) -> str:
        digest = hashlib.sha256(self.mask.cpu().bool().numpy().tobytes()).hexdigest()[:12]
        return f"mask-{self.mask.shape[0]}x{self.mask.shape[1]}-{digest}"

    def measurement_size(self, image_size: Size) -> Size:
        if tuple(image_size) != tuple(self.mask.shape):
            raise ConfigError(f"the mask is for images of size {tuple(self.mask.shape)}, got {tuple(image_size)}")
        return image_size

    def image_size(self, measurement_size: Size) -> Size:
        return self.measurement_size(measurement_size)

    def __call__(self, image: Tensor) -> Tensor:
        self.measurement_size((image.shape[-2], image.shape[-1]))
        return image * self.mask.to(image)

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        return self(measurement)

    def to_gram_basis(self, measurement: Tensor, image_size: Size) -> Tensor:
        return self(measurement)

    def from_gram_basis(self, coefficients: Tensor, image_size: Size) -> Tensor:
        return coefficients

    def gram_eigenvalues(self, image_size: Size, like: Tensor) -> Tensor:
        return torch.ones_like(self.mask, dtype=like.dtype, device=like.device)
