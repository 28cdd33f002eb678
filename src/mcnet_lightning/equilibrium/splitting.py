"""The map T of the equilibrium: one Douglas-Rachford step with one image of state."""

from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.projection import MeasurementBall


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
        total = prior_weight + penalty
        self.anchor, self.share = prior_weight / total * prior_image, penalty / total

    def estimate(self, state: Tensor) -> Tensor:
        """x: consistent with b by construction, however far the iteration has come."""
        return self.ball.project(self.anchor + self.share * state)

    def __call__(self, state: Tensor) -> Tensor:
        estimate = self.estimate(state)
        denoised = self.denoise(torch.lerp(state, estimate, 2.0))  # 2 x - y
        return state + denoised - estimate

    def linearised(self, state: Tensor, dtype: torch.dtype) -> tuple[Tensor, Callable[[Tensor], Tensor]] | None:
        """T(y) at y = `state`, a leaf of the tape, its denoiser going backwards in `dtype`; and u -> T'(y)^T u without
        tape. None if the denoiser offers no such form.

        X' = rho/(beta + rho) P' is symmetric (P is the gradient of a convex function), so that with r = R'^T u
        T'^T u = u - r + X'(2 r - u).
        """
        linearise = getattr(self.denoise, "linearised", None)
        if linearise is None:
            return None
        estimate = self.estimate(state)
        linearised = linearise(2 * estimate - state, dtype)
        if linearised is None:
            return None
        denoised, transposed = linearised

        def product(vector: Tensor) -> Tensor:
            r = transposed(vector)
            direction = torch.lerp(vector, r, 2.0)  # 2 r - u
            if self.ball.is_affine:
                return vector - r + self.share * self.ball.tangent(direction)
            (projected,) = torch.autograd.grad(estimate, state, direction, retain_graph=True)
            return vector - r + projected

        return state + denoised - estimate, product

    def rounded(self, dtype: torch.dtype) -> "DouglasRachfordMap | None":
        """T with the denoiser's convolutions in `dtype`; None if it offers no such form."""
        return self._with_denoiser("rounded", dtype)

    def tangent(self, dtype: torch.dtype) -> "DouglasRachfordMap | None":
        """T, exact at the first state it is evaluated at; from there the denoiser is its tangent, computed in `dtype`.
        None if it offers no such form.
        """
        return self._with_denoiser("tangent", dtype)

    def select(self, index: Tensor) -> "DouglasRachfordMap":
        """T of some samples."""
        chosen = copy(self)
        chosen.ball = self.ball.select(index)
        chosen.prior_image, chosen.anchor = self.prior_image[index], self.anchor[index]
        if hasattr(self.denoise, "select"):
            chosen.denoise = self.denoise.select(index)
        return chosen

    def _with_denoiser(self, form: str, dtype: torch.dtype) -> "DouglasRachfordMap | None":
        make = getattr(self.denoise, form, None)
        if make is None:
            return None
        other = copy(self)
        other.denoise = make(dtype)
        return other
