"""What a projection asks of A A^T, by whatever is known of the operator.

The projection of q is q - A^T z, (t I + A A^T) z = r with r = A q - b, where the shift t is 0 for epsilon = 0, infinite
inside the ball, and such that t ||z|| = epsilon on its surface. Its derivative is I - A^T W A with
W = (t I + A A^T)^{-1} + (t / k) p p^T, p = (t I + A A^T)^{-1} z and k = <z, z - t p>: the second term keeps the
distance.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import RESOLVED, DiagonalGramOperator, MeasurementOperator, Size

NEWTON_STEPS = 100
SMALL_STEP = 1e-9
FEW, CHUNK = 4096, 64  # directions that are looked at one by one, and how many at a time
TRUTHFUL = 0.1  # relative error of an eigenvalue that is believed


@dataclass(frozen=True)
class Correction:
    """One projection q - A^T z: `image` is A^T z, `multiplier` z in the coordinates of its Gram, `shift` t (B,).

    attainable: (B,), the distance below which A cannot come, if that was found to be above the radius; else NaN.
    """

    image: Tensor
    multiplier: Tensor
    shift: Tensor
    attainable: Tensor


class Gram(ABC):
    """A A^T for images of one kind. Its coordinates are those in which `correct` gives the multiplier.

    norm: ||A||, as far as it is known. wrong_adjoint: whether the operator's transpose was caught being none.
    """

    operator: MeasurementOperator
    size: Size
    norm = 0.0
    wrong_adjoint = False
    checked = False  # whether it was looked for
    ended_early = False  # whether a projection onto a surface is near it, but not known to be the nearest image

    @abstractmethod
    def correct(self, residual: Tensor, radius: Tensor, slack: Tensor) -> Correction:
        """The correction of images whose residual A q - b is `residual` (B, ...), radius and slack (B,), float64.

        Where the ball cannot be reached even with `slack`, the nearest that A can come to b, and its distance.
        """

    @abstractmethod
    def pseudo_inverse(self, measurement: Tensor) -> Tensor:
        """A^+ y."""

    @abstractmethod
    def to_coordinates(self, measurement: Tensor) -> Tensor:
        """y in the multiplier's coordinates."""

    @abstractmethod
    def from_coordinates(self, coefficients: Tensor) -> Tensor:
        """Back to a measurement."""

    @abstractmethod
    def to_image(self, coefficients: Tensor) -> Tensor:
        """A^T z."""

    @abstractmethod
    def inverse(self, coefficients: Tensor, shift: Tensor) -> Tensor:
        """(t I + A A^T)^{-1}, the pseudo-inverse at t = 0; zero at t = inf."""


class GramByProducts(Gram):
    """Of an operator of which A and A^T are known: its coordinates are those of the measurement."""

    def __init__(self, operator: MeasurementOperator, size: Size) -> None:
        self.operator, self.size = operator, size

    def to_coordinates(self, measurement: Tensor) -> Tensor:
        return measurement

    def from_coordinates(self, coefficients: Tensor) -> Tensor:
        return coefficients

    def to_image(self, coefficients: Tensor) -> Tensor:
        return self.operator.adjoint(coefficients, self.size)


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """(B,) to multiply (B, ...) with, in its real dtype."""
    real = like.real.dtype if like.is_complex() else like.dtype
    return values.to(real).view(-1, *[1] * (like.ndim - 1))


def inner(x: Tensor, y: Tensor) -> Tensor:
    """<x, y> per sample, real, in the widest precision that the device has."""
    product = (x * y.conj()).real if x.is_complex() else x * y
    return widened(product).flatten(1).sum(1)


def norm(x: Tensor) -> Tensor:
    """||x||_2 per sample, in the widest precision that the device has."""
    return widened(x.abs()).square().flatten(1).sum(1).sqrt()


def widest(device: torch.device) -> torch.dtype:
    """Metal has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def widened(x: Tensor) -> Tensor:
    return x.to(widest(x.device))


def secular_root(energy: Tensor, eigenvalues: Tensor, radius: Tensor) -> Tensor:
    """mu >= 0 with sum_i energy_i / (1 + mu d_i)^2 = radius^2, per sample: Newton on 1/phi, monotone from 0.

    energy (B, m), eigenvalues (B or 1, m), radius (B,) > 0. Zero where the energy is within the radius already.
    Convergence is quadratic: a step of a share SMALL_STEP of mu was the last that mattered. Steps back are rounding.
    """
    mu, moving = torch.zeros_like(radius), torch.ones_like(radius, dtype=torch.bool)
    for _ in range(NEWTON_STEPS):
        damping = 1 / (1 + mu[:, None] * eigenvalues)
        damped = energy * damping.square()
        phi = damped.sum(1).sqrt()
        slope = (damped * damping * eigenvalues).sum(1) / phi
        step = (phi - radius) / radius * phi / slope
        step = torch.where((slope > 0) & (phi > radius), step, 0.0)
        mu = torch.where(moving, mu + step, mu)
        moving &= ~(step <= SMALL_STEP * mu)
        if not bool(moving.any()):
            break
    return mu


def shift_of(
    energy: Tensor, eigenvalues: Tensor, beyond: Tensor, radius: Tensor, slack: Tensor
) -> tuple[Tensor, Tensor]:
    """t (B,), and the attainable distance where it is above radius + slack, else NaN.

    energy (B, m) of a residual in directions that A measures, with eigenvalues (B or 1, m); `beyond` (B,) is the energy
    in all others, which no image can change.
    """
    total = energy.sum(1) + beyond
    left = radius.square() - beyond
    reachable = (radius > 0) & (left > 0)
    inside = (radius > 0) & (total <= radius.square())
    mu = secular_root(energy, eigenvalues, left.where(reachable, 1.0).sqrt())
    inside |= reachable & (mu == 0)  # on the sphere, to rounding
    shift = torch.where(reachable, 1 / mu.where(mu > 0, 1.0), 0.0)
    attainable = beyond.sqrt()
    return shift.masked_fill(inside, torch.inf), attainable.where(attainable > radius + slack, torch.nan)


class DiagonalGram(Gram):
    """In a known eigenbasis all of it is elementwise."""

    def __init__(self, operator: DiagonalGramOperator, size: Size, measurement: Tensor) -> None:
        self.operator: DiagonalGramOperator = operator
        self.size = size
        coefficients = operator.to_gram_basis(measurement, size)
        self.eigenvalues, self.measured = operator.spectrum(size, measurement, coefficients)
        varies = len(self.eigenvalues) > 1 and not torch.equal(
            self.eigenvalues, self.eigenvalues[:1].expand_as(self.eigenvalues)
        )
        if varies and _shared(operator):
            raise ConfigError(
                f"{operator.name} has other gram_eigenvalues for every sample, but its `select` gives one operator for "
                "all; override select(index)"
            )
        self._believe(coefficients)
        self.eigenvalues = self.eigenvalues.where(self.measured, 0.0)
        self.norm = float(self.eigenvalues.max()) ** 0.5
        # operators that join factors do so for eigenvalues above their own tolerance
        self.joined = type(operator).pseudo_inverse is not DiagonalGramOperator.pseudo_inverse

    def correct(self, residual: Tensor, radius: Tensor, slack: Tensor) -> Correction:
        coefficients = self.to_coordinates(residual)
        energy = widened(coefficients.abs()).square()
        seen = (energy * self.measured).flatten(1)
        dropped = (norm(residual).square() - energy.flatten(1).sum(1)).clamp_min(0)
        rounding = RESOLVED * self.operator.resolution(residual.dtype) * energy.flatten(1).sum(1)
        beyond = (energy * ~self.measured).flatten(1).sum(1) + dropped.where(dropped > rounding, 0.0)
        shift, attainable = shift_of(seen, widened(self.eigenvalues).flatten(1), beyond, radius, slack)
        multiplier = self.inverse(coefficients, shift)
        return Correction(self.to_image(multiplier), multiplier, shift, attainable)

    def pseudo_inverse(self, measurement: Tensor) -> Tensor:
        if self.joined:
            return self.operator.pseudo_inverse(measurement, self.size)
        coefficients = self.to_coordinates(measurement)
        return self.to_image(self.inverse(coefficients, torch.zeros(len(measurement), device=measurement.device)))

    def to_coordinates(self, measurement: Tensor) -> Tensor:
        return self.operator.to_gram_basis(measurement, self.size)

    def from_coordinates(self, coefficients: Tensor) -> Tensor:
        return self.operator.from_gram_basis(coefficients, self.size)

    def to_image(self, coefficients: Tensor) -> Tensor:
        return self.operator.synthesise(coefficients, self.size)

    def inverse(self, coefficients: Tensor, shift: Tensor) -> Tensor:
        total = self.eigenvalues + per_sample(shift, coefficients)
        return coefficients * self.measured / total.where(total > 0, torch.inf)

    def _believe(self, coefficients: Tensor) -> None:
        """Eigenvalues within the rounding of A A^T are believed only if A^T says the same: those of an
        eigendecomposition of A A^T are noise there, those of a singular value decomposition of A are not.
        """
        weak = self.measured & self.operator.weak(self.eigenvalues)
        places = weak.flatten(1).any(dim=0).nonzero().squeeze(1)
        if len(places) == 0:
            return
        measured = (self.measured & ~weak).flatten(1)
        if not coefficients.is_complex() and len(places) <= FEW:
            stated = widened(self.eigenvalues).flatten(1)
            for chunk in places.split(CHUNK if len(weak) == 1 else 1):  # one operator takes many at a time
                units = coefficients.new_zeros(max(len(weak), len(chunk)), measured.shape[1])
                units[torch.arange(len(units)), chunk.expand(len(units))] = 1.0
                confirmed = norm(self.to_image(units.view(-1, *weak.shape[1:]))).square().view(len(weak), -1)
                truthful = (confirmed - stated[:, chunk]).abs() <= TRUTHFUL * stated[:, chunk]
                measured[:, chunk] |= weak.flatten(1)[:, chunk] & truthful
        self.measured = measured.view_as(weak)


def _shared(operator: MeasurementOperator) -> bool:
    """Whether the operator is the same for every sample."""
    return type(operator).select is MeasurementOperator.select
