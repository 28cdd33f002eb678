"""The layer as a plain graph of a fixed number of steps, for torch.export: no solver, no library at run time."""

import torch
from torch import Tensor, nn

from mcnet_lightning.equilibrium.layer import EquilibriumLayer
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import KernelDownsample
from mcnet_lightning.operators.base import Size


class FixedIterationLayer(nn.Module):
    """x of (w, b) after `iterations` Picard steps of T, for images of one size, epsilon = 0.

    With A X = A_v X A_h^T the projection is q - A_v^+ (A q - b) (A_h^+)^T: four matrices, computed here in float64.
    """

    vertical: Tensor
    horizontal: Tensor
    vertical_inverse: Tensor
    horizontal_inverse: Tensor
    prior_weight: Tensor

    def __init__(
        self, layer: EquilibriumLayer, operator: KernelDownsample, image_size: Size, iterations: int = 30
    ) -> None:
        super().__init__()
        if iterations < 1:
            raise ConfigError(f"iterations={iterations} must be at least 1")
        self.denoiser, self.iterations, self.penalty = layer.denoiser, iterations, layer.penalty
        for name, matrix in zip(("vertical", "horizontal"), operator.axis_matrices(image_size), strict=True):
            self.register_buffer(name, matrix.to(layer.prior_weight.dtype))
            self.register_buffer(f"{name}_inverse", torch.linalg.pinv(matrix).to(layer.prior_weight.dtype))
        self.register_buffer("prior_weight", layer.prior_weight.detach().clone())

    def project(self, image: Tensor, measurement: Tensor) -> Tensor:
        residual = self.vertical @ image @ self.horizontal.T - measurement
        return image - self.vertical_inverse @ residual @ self.horizontal_inverse.T

    def forward(self, prior_image: Tensor, measurement: Tensor) -> Tensor:
        """(B, 1, H, W) and (B, 1, h, w) to (B, 1, H, W)."""
        state = prior_image
        for _ in range(self.iterations):
            estimate = self.estimate(state, prior_image, measurement)
            state = state + self.denoiser(2 * estimate - state) - estimate
        return self.estimate(state, prior_image, measurement)

    def estimate(self, state: Tensor, prior_image: Tensor, measurement: Tensor) -> Tensor:
        weighted = (self.prior_weight * prior_image + self.penalty * state) / (self.prior_weight + self.penalty)
        return self.project(weighted, measurement)


def export_layer(
    layer: EquilibriumLayer, operator: KernelDownsample, image_size: Size, iterations: int = 30
) -> torch.export.ExportedProgram:
    """The layer, folded, as a program that `torch.export.save` writes; takes w (1, 1, H, W) and b (1, 1, h, w)."""
    fixed = FixedIterationLayer(layer.fold(), operator, image_size, iterations).eval()
    like = layer.prior_weight
    example = tuple(
        torch.zeros(1, 1, *size, dtype=like.dtype, device=like.device)
        for size in (image_size, operator.measurement_size(image_size))
    )
    with torch.no_grad():
        return torch.export.export(fixed, example)
