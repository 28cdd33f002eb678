"""Any linear `deepinv.physics` object as an operator (Tachella et al., BSD-3; no dependency of this package).

Only what such an object offers is used, `A`, `A_adjoint` and, of decomposable ones, U, V and their singular values; so
anything with these methods will do.
"""

from typing import Any

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import DiagonalGramOperator, MeasurementOperator, Shape, Size, short_digest
from mcnet_lightning.operators.checks import TOLERANCE, check_adjoint


class Physics(MeasurementOperator):
    """b = physics.A(x) for images (C, H, W) = `image_shape`; no noise. Projected by a Krylov method."""

    image_shape: Shape

    def __init__(self, physics: Any, image_shape: Shape) -> None:
        self.physics, self.image_shape = physics, tuple(image_shape)
        probe = torch.linspace(0, 1, image_shape[0] * image_shape[1] * image_shape[2]).view(1, *image_shape)
        with torch.no_grad():
            measured = physics.A(probe)
        if not isinstance(measured, Tensor) or measured.is_complex():
            raise ConfigError(f"{type(physics).__name__} gives no real tensor; one measurement, real, is needed")
        self.measured_shape = tuple(measured.shape[1:])
        self.precision = _precision(physics, self.image_shape)
        self._name = f"{type(physics).__name__.lower()}-{short_digest((measured * 1e4).round().long())}"

    @property
    def name(self) -> str:
        return self._name

    def measurement_shape(self, image_shape: Shape) -> Shape:
        if tuple(image_shape[-3:]) != self.image_shape:
            raise ConfigError(f"{self.name} is for images {self.image_shape}, got {tuple(image_shape[-3:])}")
        return (*image_shape[:-3], *self.measured_shape)

    def __call__(self, image: Tensor) -> Tensor:
        return self._run(self.physics.A, image)

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        return self._run(self.physics.A_adjoint, measurement)

    def _run(self, function: Any, argument: Tensor) -> Tensor:
        made: Tensor = function(argument.float() if self.precision == torch.float32 else argument)
        return made.to(argument.dtype)


class DecomposedPhysics(Physics, DiagonalGramOperator):
    """The same where A = U diag(s) V^T with orthonormal U and V is known: projected in closed form."""

    def to_gram_basis(self, measurement: Tensor, image_size: Size) -> Tensor:
        coefficients: Tensor = self.physics.U_adjoint(measurement)
        return coefficients

    def from_gram_basis(self, coefficients: Tensor, image_size: Size) -> Tensor:
        measurement: Tensor = self.physics.U(coefficients)
        return measurement

    def gram_eigenvalues(self, image_size: Size, like: Tensor) -> Tensor:
        shape = self.to_gram_basis(like[:1], image_size).shape[1:]
        singular = torch.as_tensor(self.physics.mask, device=like.device)
        if singular.ndim > len(shape) and len(singular) == 1:
            singular = singular[0]
        return singular.abs().square().to(like.dtype).expand(shape)


def operator_of(physics: Any, image_shape: Shape) -> Physics:
    """The physics as an operator for images (C, H, W), checked once: with the closed form where it has one.

    Raises ConfigError, with the figure, for one that is not linear or whose adjoint is none, as that of deepinv's
    tomography is by default (give it adjoint_via_backprop=True).
    """
    plain = Physics(physics, image_shape)
    check_adjoint(plain, image_shape)
    if all(hasattr(physics, name) for name in ("U", "U_adjoint", "V", "V_adjoint", "mask")):
        decomposed = DecomposedPhysics(physics, image_shape)
        if _decomposes(decomposed):
            return decomposed
    return plain


@torch.no_grad()
def _precision(physics: Any, image_shape: Shape) -> torch.dtype:
    """The widest precision in which the physics computes; tomography, for one, knows float32 only."""
    try:
        made = physics.A(torch.zeros(1, *image_shape, dtype=torch.float64))
    except RuntimeError:
        return torch.float32
    return torch.float64 if made.dtype == torch.float64 else torch.float32


@torch.no_grad()
def _decomposes(operator: DecomposedPhysics) -> bool:
    """Whether U diag(s^2) U^T is A A^T: some decompositions are not orthonormal."""
    size = (operator.image_shape[-2], operator.image_shape[-1])
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(2, *operator.measured_shape, generator=generator, dtype=torch.float64).to(operator.precision)
    try:
        coefficients = operator.to_gram_basis(y, size)
        eigenvalues, _ = operator.spectrum(size, y, coefficients)
        rebuilt = operator.from_gram_basis(coefficients * eigenvalues, size)
    except (RuntimeError, ConfigError):
        return False
    gram = operator.gram(y, size)
    return float((rebuilt - gram).norm()) <= 10 * TOLERANCE[operator.precision] * float(gram.norm())
