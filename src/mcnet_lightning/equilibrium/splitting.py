"""The map T of the equilibrium: one Douglas-Rachford step with one image of state."""

from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.linearisation import Linearisable, Roundable, Tangent
from mcnet_lightning.equilibrium.parts import SelectableMap
from mcnet_lightning.equilibrium.projection import MeasurementBall


class DouglasRachfordMap:
    """T(y) = y + D(2 x - y) - x,   x = P_S((beta w + y) / (beta + 1)),   S = { x : ||b - A x||_2 <= epsilon }.

    The same iteration as ADMM on (x, lambda) with lambda = x - y (Mourya & Mota, ICASSP 2023), with one image of state
    and beta in units of ADMM's penalty, on which nothing else depends. D = (1 - g) Id + g R with the relaxation g, the
    relaxed denoiser of Hurault et al. (2023); R itself for g = 1. At the fixed point D(2 x - y) = x. Knows no loop;
    `denoise` (R), `prior_weight` (beta) and `prior_image` (w) may carry gradients.
    """

    def __init__(
        self,
        denoise: Callable[[Tensor], Tensor],
        ball: MeasurementBall,
        prior_image: Tensor,
        prior_weight: Tensor | float,
        watch: Callable[[], None] | None = None,
        relaxation: float = 1.0,
    ) -> None:
        """watch: called before each estimate, of which a solve makes one per evaluation."""
        self.watch = watch
        self.denoise = denoise
        self.relaxation = relaxation
        self.ball = ball
        self.prior_image = prior_image
        self.share = 1 / (prior_weight + 1)
        self.anchor = prior_weight * self.share * prior_image

    def estimate(self, state: Tensor) -> Tensor:
        """x: consistent with b by construction, however far the iteration has come."""
        if self.watch is not None:
            self.watch()
        return self.ball.project(self.anchor + self.share * state)

    def __call__(self, state: Tensor) -> Tensor:
        estimate = self.estimate(state)
        return state + self.denoised(torch.lerp(state, estimate, 2.0)) - estimate  # of 2 x - y

    def denoised(self, image: Tensor) -> Tensor:
        """D(v)."""
        return self._relaxed(image, self.denoise(image))

    def _relaxed(self, image: Tensor, denoised: Tensor) -> Tensor:
        """D from what R makes of an image; linear in both, so that it serves derivatives too."""
        return denoised if self.relaxation == 1 else torch.lerp(image, denoised, self.relaxation)

    def rounded(self, dtype: torch.dtype) -> "DouglasRachfordMap | None":
        """T with its denoiser rounded to `dtype`; None if it offers no such form."""
        return self._with(self.denoise.rounded(dtype)) if isinstance(self.denoise, Roundable) else None

    def linearise(
        self, state: Tensor, dtype: torch.dtype
    ) -> "tuple[Tensor, DouglasRachfordMap, Callable[[Tensor], Tensor]] | None":
        """T(y) at y = `state`, on the tape if that is a leaf of it; T with the denoiser replaced by its tangent there;
        and u -> T'(y)^T u. All but the value in `dtype` and without tape. None if the denoiser offers no such form.

        X' = P' / (beta + 1) is symmetric (P is the gradient of a convex function), so that with r = D'^T u
        T'^T u = u - r + X'(2 r - u).
        """
        if not isinstance(self.denoise, Linearisable):
            return None
        estimate = self.estimate(state)
        image = torch.lerp(state, estimate, 2.0)
        linearised = self.denoise.linearise(image, dtype)
        if linearised is None:
            return None
        denoised, jvp, vjp = linearised
        projected = self.ball.derivative(self.anchor + self.share * state)

        def product(vector: Tensor) -> Tensor:
            r = self._relaxed(vector, vjp(vector))
            return vector - r + self.share * projected(torch.lerp(vector, r, 2.0))  # 2 r - u

        near = self._with(Tangent(image.detach(), denoised.detach(), jvp))
        return state + self._relaxed(image, denoised) - estimate, near, product

    def select(self, index: Tensor) -> "DouglasRachfordMap":
        """T of some samples."""
        chosen = self._with(self.denoise.select(index) if isinstance(self.denoise, SelectableMap) else self.denoise)
        chosen.ball = self.ball.select(index)
        chosen.prior_image, chosen.anchor = self.prior_image[index], self.anchor[index]
        return chosen

    def _with(self, denoise: Callable[[Tensor], Tensor]) -> "DouglasRachfordMap":
        other = copy(self)
        other.denoise = denoise
        return other
