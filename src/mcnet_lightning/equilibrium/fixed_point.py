"""Fixed points y = T(y) of batched maps: Anderson acceleration and damped Picard iteration.

Every sample is solved as if it were alone: its own residual, history, restarts and end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.anderson import Run, iterate
from mcnet_lightning.equilibrium.mixed_precision import LinearisableMap, iterate_in_half
from mcnet_lightning.equilibrium.parts import SelectableMap
from mcnet_lightning.equilibrium.precision import half_pays
from mcnet_lightning.equilibrium.stats import SolveStats
from mcnet_lightning.errors import ConfigError

Positive = Annotated[float, {"minimum": 0.0, "exclusive": True}]
Count = Annotated[int, {"minimum": 1}]


@dataclass
class AndersonSolver:
    """Anderson acceleration (type II) with a scale-free ridge.

    Minimises ||sum_i a_i g_i|| over sum_i a_i = 1, g_i = T(y_i) - y_i the last `history_size` residuals, and steps to
    sum_i a_i (T(y_i) - (1 - mixing) g_i). The Gram matrix is normalised to unit diagonal before `ridge` is added, so
    that the regularisation does not depend on the size of the residuals (Walker & Ni, SIAM J. Numer. Anal. 2011; an
    absolute ridge switches the acceleration off near convergence).

    tolerance:       a sample stops at ||T(y) - y||_2 <= tolerance ||T(y)||_2.
    max_evaluations: evaluations of T per sample at most; then its outcome is MAX_EVALUATIONS.
    history_size:    m, past residuals that are combined.
    ridge:           regulariser of the normalised Gram matrix.
    mixing:          relaxation in (0, 2), T being averaged: 1.4 takes 2 to 5 % fewer evaluations than 1.
    half_evaluations: of float32 states, most evaluations with the denoiser's convolutions in bfloat16 (see
                     mixed_precision.py); the tolerance is met in float32 all the same. None: where it is faster.
    """

    tolerance: Positive = 1e-5
    max_evaluations: Count = 100
    history_size: Count = 10
    mixing: Annotated[float, {"minimum": 0.0, "maximum": 2.0, "exclusive": True, "exclusive_maximum": True}] = 1.4
    ridge: Annotated[float, {"minimum": 0.0}] = 1e-8
    half_evaluations: bool | None = None

    def __post_init__(self) -> None:
        if self.tolerance <= 0 or self.max_evaluations < 1 or self.history_size < 1 or self.ridge < 0:
            raise ConfigError(
                f"{self}: tolerance > 0, max_evaluations >= 1, history_size >= 1 and ridge >= 0 are needed"
            )
        if not 0 < self.mixing < 2:
            raise ConfigError(f"mixing={self.mixing} is outside (0, 2)")

    @torch.no_grad()
    def solve(
        self, fixed_point_map: SelectableMap | Callable[[Tensor], Tensor], start: Tensor
    ) -> tuple[Tensor, SolveStats]:
        """The fixed point from `start` (B, ...) and its stats.

        Returns T(y) of the first iterate within tolerance, else of the iterate with the smallest residual; NaN and Inf
        end a sample at the evaluation where they appear. Maps with `select` are evaluated on unfinished samples only.
        """
        run = Run(start, self.history_size, self.mixing, self.ridge)
        half = half_pays(start.device) if self.half_evaluations is None else self.half_evaluations
        if half and start.dtype == torch.float32 and isinstance(fixed_point_map, LinearisableMap):
            iterate_in_half(run, fixed_point_map, self.tolerance, self.max_evaluations)
        iterate(run, fixed_point_map, self.tolerance, self.max_evaluations)
        return run.result()


@dataclass
class PicardSolver(AndersonSolver):
    """y <- y + mixing (T(y) - y): Anderson without memory, in full precision throughout.

    mixing: relaxation in (0, 1]; 1/2 at most from where a sample's residual has not fallen for five evaluations, as it
            does not where T reverses some direction without contracting it
    """

    max_evaluations: Count = 500
    history_size: Count = field(default=1, init=False)
    mixing: Annotated[float, {"minimum": 0.0, "maximum": 1.0, "exclusive": True}] = 1.0
    ridge: float = field(default=1e-8, init=False)
    half_evaluations: bool | None = field(default=False, init=False)
