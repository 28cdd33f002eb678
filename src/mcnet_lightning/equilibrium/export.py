"""The layer as a plain graph of a fixed number of steps, for torch.export: no solver, no library at run time."""

import torch
from torch import Tensor, nn

from mcnet_lightning.equilibrium.denoiser import copied
from mcnet_lightning.equilibrium.layer import EquilibriumLayer
from mcnet_lightning.equilibrium.projection import MeasurementBall
from mcnet_lightning.equilibrium.splitting import DouglasRachfordMap
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import KernelDownsample
from mcnet_lightning.operators.base import Size


class FixedIterationLayer(nn.Module):
    """x of (w, b) after `iterations` Picard steps of T, for images of one size, epsilon = 0."""

    prior_weight: Tensor

    def __init__(
        self, layer: EquilibriumLayer, operator: KernelDownsample, image_size: Size, iterations: int = 30
    ) -> None:
        super().__init__()
        if iterations < 1:
            raise ConfigError(f"iterations={iterations} must be at least 1")
        self.denoiser, self.relaxation, self.iterations = layer.denoiser, layer.relaxation, iterations
        self.matrices = _AxisMatrices(operator, image_size, layer.prior_weight.dtype)
        self.register_buffer("prior_weight", layer.prior_weight.detach().clone())

    def forward(self, prior_image: Tensor, measurement: Tensor) -> Tensor:
        """(B, 1, H, W) and (B, 1, h, w) to (B, 1, H, W)."""
        ball = _AffineSet(self.matrices, measurement)
        step = DouglasRachfordMap(self.denoiser, ball, prior_image, self.prior_weight, relaxation=self.relaxation)
        state = prior_image
        for _ in range(self.iterations):
            state = step(state)
        return step.estimate(state)


class _AxisMatrices(nn.Module):
    """A X = A_v X A_h^T, and the pseudo-inverses, computed in float64."""

    vertical: Tensor
    horizontal: Tensor
    vertical_inverse: Tensor
    horizontal_inverse: Tensor

    def __init__(self, operator: KernelDownsample, image_size: Size, dtype: torch.dtype) -> None:
        super().__init__()
        for name, matrix in zip(("vertical", "horizontal"), operator.axis_matrices(image_size), strict=True):
            self.register_buffer(name, matrix.to(dtype))
            self.register_buffer(f"{name}_inverse", torch.linalg.pinv(matrix).to(dtype))


class _AffineSet(MeasurementBall):
    """{ x : A x = b } by four matrices: P(q) = q - A_v^+ (A q - b) (A_h^+)^T, which torch.export can write down."""

    def __init__(self, matrices: _AxisMatrices, measurement: Tensor) -> None:
        self.matrices, self.measurement = matrices, measurement

    def project(self, image: Tensor) -> Tensor:
        m = self.matrices
        residual = m.vertical @ image @ m.horizontal.T - self.measurement
        return image - m.vertical_inverse @ residual @ m.horizontal_inverse.T


def export_layer(
    layer: EquilibriumLayer, operator: KernelDownsample, image_size: Size, iterations: int = 30
) -> torch.export.ExportedProgram:
    """The layer, folded, as a program that `torch.export.save` writes; takes w (1, 1, H, W) and b (1, 1, h, w).

    The layer itself stays as it is.
    """
    fixed = FixedIterationLayer(copied(layer).fold(), operator, image_size, iterations).eval()
    like = layer.prior_weight
    example = tuple(
        torch.zeros(1, 1, *size, dtype=like.dtype, device=like.device)
        for size in (image_size, operator.measurement_size(image_size))
    )
    with torch.no_grad():
        return torch.export.export(fixed, example)
