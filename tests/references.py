"""Independent references that several tests compare with: dense matrices, finite differences, and a tiny layer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.equilibrium import AndersonSolver, EquilibriumLayer
from mcnet_lightning.operators import Mask, MeasurementOperator
from mcnet_lightning.problems import Observation


def uniform(*shape: int) -> Tensor:
    """Random pixels in [0, 1], float64."""
    return torch.rand(shape, dtype=torch.float64)


def mask_of(observation: Observation) -> Tensor:
    operator = observation.operator
    assert isinstance(operator, Mask)
    return operator.mask


def norms(tensor: Tensor) -> Tensor:
    """l2 norm of each sample, (B,)."""
    return tensor.flatten(1).norm(dim=1)


def relative_error(value: Tensor, reference: Tensor) -> float:
    return float((value - reference).detach().norm() / reference.detach().norm())


def dense_matrix(linear: Callable[[Tensor], Tensor], channels: int, height: int, width: int) -> Tensor:
    """The matrix of a linear map of images, by applying it to every unit image; float64."""
    size = channels * height * width
    units = torch.eye(size, dtype=torch.float64).view(size, channels, height, width)
    return linear(units).flatten(1).T


def dense_jacobian(function: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    """d function / d point for one sample (1, ...), as a square matrix."""
    return torch.autograd.functional.jacobian(function, point).view(point.numel(), point.numel())


class HiddenBasis(MeasurementOperator):
    """The same operator without its eigenbasis: sends the projection to conjugate gradients."""

    def __init__(self, operator: MeasurementOperator) -> None:
        self.operator = operator

    @property
    def name(self) -> str:
        return f"hidden-{self.operator.name}"

    def measurement_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        return self.operator.measurement_size(image_size)

    def image_size(self, measurement_size: tuple[int, int]) -> tuple[int, int]:
        return self.operator.image_size(measurement_size)

    def __call__(self, image: Tensor) -> Tensor:
        return self.operator(image)

    def adjoint(self, measurement: Tensor, image_size: tuple[int, int] | None = None) -> Tensor:
        return self.operator.adjoint(measurement, image_size)


def tiny_layer(beta: float = 0.5, tolerance: float = 1e-13, **denoiser: Any) -> EquilibriumLayer:
    """Three normalised convolutions of 8 channels and a beta that makes T a contraction by about 0.7; eval, float64."""
    network = DnCNN(**{"depth": 3, "channels": 8, **denoiser})
    with torch.no_grad():
        network.offset.fill_(0.1)
    layer = EquilibriumLayer(network, prior_weight=beta, solver=AndersonSolver(tolerance, max_evaluations=300))
    return layer.double().eval()


def dncnn(layer: EquilibriumLayer) -> DnCNN:
    """The layer's denoiser, as what it is in `tiny_layer`."""
    assert isinstance(layer.denoiser, DnCNN)
    return layer.denoiser
