"""The deep-equilibrium layer: a denoiser, beta, and the two solvers, around the map T."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcnet_lightning.equilibrium.denoiser import as_denoiser
from mcnet_lightning.equilibrium.fixed_point import AndersonSolver
from mcnet_lightning.equilibrium.implicit import GMRES, AdjointSolver, Unrolled, implicit_fixed_point
from mcnet_lightning.equilibrium.precision import full_precision
from mcnet_lightning.equilibrium.projection import MeasurementBall
from mcnet_lightning.equilibrium.splitting import DouglasRachfordMap
from mcnet_lightning.equilibrium.stats import SolveStats
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import MeasurementOperator


@dataclass(frozen=True)
class LayerResult:
    """estimate x (B, C, H, W), the fixed point y that it was projected from (without tape), and the stats."""

    estimate: Tensor
    state: Tensor
    stats: SolveStats


class EquilibriumLayer(nn.Module):
    """x = X(y*), y* = T(y*): the image that agrees with b, stays near w by beta, and that the denoiser leaves alone.

    denoiser: R, any image-to-image module; `layer.denoiser` is a `Denoiser` in any case. prior_weight is
    beta = floor + softplus(raw), learned. relaxation: g in (0, 1], which puts (1 - g) Id + g R in the place of R: the
    iteration of an R with no bound on its Lipschitz constant converges where g is small enough; it acts like R with
    beta / g, nearly. After a backward pass `backward_stats` holds the stats of the adjoint solve.
    """

    prior_weight_floor: Tensor

    def __init__(
        self,
        denoiser: nn.Module,
        prior_weight: float = 0.05,
        prior_weight_floor: float = 0.0,
        solver: AndersonSolver | None = None,
        backward_solver: AdjointSolver | Unrolled | None = None,
        relaxation: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 < relaxation <= 1:
            raise ConfigError(f"relaxation={relaxation} must be above 0 and at most 1; 1 leaves the denoiser as it is")
        self.relaxation = relaxation
        self.denoiser = as_denoiser(denoiser)
        self.solver = solver or AndersonSolver()
        self.backward_solver = backward_solver or GMRES()
        self.raw_prior_weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("prior_weight_floor", torch.zeros(()))
        self.set_prior_weight(prior_weight, prior_weight_floor)
        self.backward_stats: SolveStats | None = None
        self.watch: Callable[[], None] | None = None  # called at each evaluation of T

    @property
    def prior_weight(self) -> Tensor:
        """beta, a scalar tensor on the tape."""
        return self.prior_weight_floor + F.softplus(self.raw_prior_weight)

    @torch.no_grad()
    def set_prior_weight(self, value: float, floor: float = 0.0) -> None:
        """Sets beta to exactly `value` >= 0, and the bound below which training cannot push it.

        A value at or below `floor` brings the floor down with it, to 90 % of the value; beta = 0 stays 0.
        """
        if value < 0 or floor < 0:
            raise ConfigError(f"beta={value} and its floor {floor} must not be negative")
        floor = floor if floor < value else 0.9 * value
        excess = torch.tensor(value - floor, dtype=torch.float64)  # on the CPU: not every device has float64
        raw = excess + torch.log(-torch.expm1(-excess))
        self.raw_prior_weight.copy_(raw.to(self.raw_prior_weight.dtype))
        self.prior_weight_floor.fill_(floor)

    def map(
        self, prior_image: Tensor, measurement: Tensor, operator: MeasurementOperator, epsilon: float | Tensor = 0.0
    ) -> DouglasRachfordMap:
        """T for these samples, with the denoiser's weights bound once."""
        ball = MeasurementBall(measurement, operator, epsilon)
        return DouglasRachfordMap(
            self.denoiser.bind(), ball, prior_image, self.prior_weight, self.watch, self.relaxation
        )

    def certificate(self) -> dict[str, Any]:
        """Sound bounds of the denoiser as it acts, relaxed, if there are any; its layers' are those of R."""
        found = self.denoiser.certificate()
        name, g = "denoiser_lipschitz_bound", self.relaxation
        return {**found, name: 1 - g + g * found[name]} if name in found else found

    def forward(
        self,
        prior_image: Tensor,
        measurement: Tensor,
        operator: MeasurementOperator,
        epsilon: float | Tensor = 0.0,
        initial_state: Tensor | None = None,
    ) -> LayerResult:
        """Solves for the fixed point and returns its consistent image.

        Args:
            prior_image: w, (B, C, H, W) in [0, 1].
            measurement: b, (B, ...), of the shape that A gives to w.
            operator: A, of the sizes of w and b.
            epsilon: l2 radius per image, one number or (B,).
            initial_state: where to start, (B, C, H, W); w by default.

        Not converging is not an error here: see `stats.converged` and `stats.raise_if_failed()`. Autocast and TF32 are
        switched off: with them the iteration stalls at 3e-4 or more and the projection is no longer exact.
        """
        with full_precision(prior_image.device):
            return self._solve(prior_image, measurement, operator, epsilon, initial_state)

    def _solve(
        self,
        prior_image: Tensor,
        measurement: Tensor,
        operator: MeasurementOperator,
        epsilon: float | Tensor,
        initial_state: Tensor | None,
    ) -> LayerResult:
        fixed_point_map = self.map(prior_image, measurement, operator, epsilon)
        start = prior_image if initial_state is None else initial_state
        if isinstance(self.backward_solver, Unrolled) and torch.is_grad_enabled():
            state, stats = self.backward_solver.unroll(fixed_point_map, start)
            return _settled(fixed_point_map, state, state.detach(), stats)
        solved, stats = self.solver.solve(fixed_point_map, start)
        state = solved
        if torch.is_grad_enabled() and not isinstance(self.backward_solver, Unrolled):
            state = implicit_fixed_point(fixed_point_map, solved, self.backward_solver, self._record)
        return _settled(fixed_point_map, state, solved, stats)

    def fold(self) -> "EquilibriumLayer":
        """Folds the denoiser's spectral normalisation into plain weights, for inference."""
        self.denoiser.fold()
        return self

    def _record(self, stats: SolveStats) -> None:
        self.backward_stats = stats


def _settled(fixed_point_map: DouglasRachfordMap, state: Tensor, solved: Tensor, stats: SolveStats) -> LayerResult:
    """The consistent image of a state, and in the stats how consistent it is."""
    estimate, reached = fixed_point_map.ball.settle(fixed_point_map.estimate(state))
    return LayerResult(estimate, solved, stats.at(reached))
