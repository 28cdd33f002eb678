"""The map T of the equilibrium: one Douglas-Rachford step with one image of state."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.projection import MeasurementBall


class FixedPointMap(Protocol):
    """T, acting on each sample of (B, ...) by itself."""

    def __call__(self, state: Tensor) -> Tensor: ...

    def select(self, index: Tensor) -> "FixedPointMap":
        """T for some samples, so that finished ones cost nothing."""
        ...


class DouglasRachfordMap:
    """T(y) = y + R(2 x - y) - x,   x = P_S((beta w + rho y) / (beta + rho)),   S = { x : ||b - A x||_2 <= epsilon }.

    The same iteration as ADMM on (x, lambda) with lambda = x - y (Mourya & Mota, ICASSP 2023), but with one image of
    state. At the fixed point R(2 x - y) = x. Knows no loop; `denoise`, `prior_weight` (beta) and `prior_image` (w) may
    carry gradients.
    """

    def __init__(
        self,
        denoise: Callable[[Tensor], Tensor],
        ball: MeasurementBall,
        prior_image: Tensor,
        prior_weight: Tensor | float,
        penalty: float = 1.0,
    ) -> None:
        self.denoise = denoise
        self.ball = ball
        self.prior_image = prior_image
        self.prior_weight = prior_weight
        self.penalty = penalty

    def estimate(self, state: Tensor) -> Tensor:
        """x: consistent with b by construction, however far the iteration has come."""
        beta, rho = self.prior_weight, self.penalty
        return self.ball.project((beta * self.prior_image + rho * state) / (beta + rho))

    def __call__(self, state: Tensor) -> Tensor:
        estimate = self.estimate(state)
        denoised = self.denoise(2 * estimate - state)
        return state + denoised - estimate

    def vjp(self, state: Tensor, dtype: torch.dtype) -> Callable[[Tensor], Tensor] | None:
        """u -> T'(y)^T u at y = `state`, the denoiser's convolutions in `dtype`; None if it cannot linearise itself.

        X' = rho/(beta + rho) P' is symmetric (P is the gradient of a convex function), so that with r = R'^T u
        T'^T u = u - r + X'(2 r - u).
        """
        linearise = getattr(self.denoise, "transposed_jacobian", None)
        if linearise is None:
            return None
        with torch.enable_grad():
            leaf = state.detach().requires_grad_()
            estimate = self.estimate(leaf)
        transposed = linearise(2 * estimate.detach() - leaf.detach(), dtype)
        if transposed is None:
            return None

        def product(vector: Tensor) -> Tensor:
            r = transposed(vector)
            (projected,) = torch.autograd.grad(estimate, leaf, 2 * r - vector, retain_graph=True)
            return vector - r + projected

        return product

    def select(self, index: Tensor) -> "DouglasRachfordMap":
        return DouglasRachfordMap(
            self.denoise, self.ball.select(index), self.prior_image[index], self.prior_weight, self.penalty
        )
