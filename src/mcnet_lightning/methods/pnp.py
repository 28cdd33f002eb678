"""Plug-and-play ADMM (Venkatakrishnan et al., GlobalSIP 2013; Ryu et al., ICML 2019): MCNet without a backbone.

    y <- y + R(2 x - y) - x,   x = P_S(y),   S = { x : ||b - A x||_2 <= epsilon }

R is a Gaussian denoiser in place of a proximal map, by default a 17-layer DnCNN. This is the layer's own map T with
beta = 0, in its Douglas-Rachford form.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from mcnet_lightning.denoisers.ffdnet import read_published
from mcnet_lightning.equilibrium import Denoiser, DouglasRachfordMap, MeasurementBall, PicardSolver, SolveStats
from mcnet_lightning.equilibrium.denoiser import as_denoiser, copied
from mcnet_lightning.equilibrium.precision import full_precision, half_pays
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files.downloads import RemoteFile, cache_folder, fetch
from mcnet_lightning.files.weights import BUNDLED, OFFICIAL, is_bundled, read_weights
from mcnet_lightning.methods.base import Given, Made, Method
from mcnet_lightning.model.layer_files import load_denoiser

BUNDLED_DENOISER = "dncnn17"
# 17 layers for gray images with noise of 25/255, the level chosen at x2 and x3 by experiments/denoiser_selection (MIT)
OFFICIAL_DENOISER = RemoteFile(
    "https://github.com/cszn/KAIR/releases/download/v1.0/dncnn_25.pth",
    "0451a70de9b672ae037270498fbb1c17a1c1c4403785df586ff65df5b858e5b0",
    2224903,
)
ROUGH_RESIDUAL, ROUGH_ITERATIONS = 5e-3, 30  # bfloat16 stalls at 3e-3


@dataclass
class PnP(Method):
    """The solver.

    denoiser:       R, any image-to-image module, copied, or what `load_pnp_denoiser` takes; nothing is asked of its
                    Lipschitz constant, so that convergence is monitored, not guaranteed.
    tolerance:      a sample stops at ||T(y) - y||_2 <= tolerance ||T(y)||_2.
    max_iterations: evaluations of R at most.
    mixing:         y <- y + mixing (T(y) - y); smaller ones damp a denoiser that does not settle.
    half_iterations: the denoiser's convolutions in bfloat16 at first, while the residual is large; whether a sample is
                    within tolerance is decided in float32 all the same. None: where it is faster.
    noise_level:    of the noise that a denoiser for any level, an FFDNet, is to take away, in units of 1.
    """

    denoiser: nn.Module | str | Path = BUNDLED
    tolerance: float = 2e-3
    max_iterations: int = 100
    mixing: float = 1.0
    half_iterations: bool | None = None
    noise_level: float = 0.06
    name: ClassVar[str] = "pnp"
    label: ClassVar[str] = "PnP"
    settings: ClassVar[tuple[str, ...]] = ("epsilon", "pnp")
    rank: ClassVar[int] = 7
    remedy: ClassVar[str] = "pnp.max_iterations or pnp.tolerance"

    def run(self, given: Given) -> Made:
        return self.solve(given.start, given.ball)

    def __post_init__(self) -> None:
        if self.tolerance <= 0 or self.max_iterations < 1 or not 0 < self.mixing <= 1:
            raise ConfigError(
                f"tolerance={self.tolerance} (> 0), max_iterations={self.max_iterations} (>= 1) or "
                f"mixing={self.mixing} in (0, 1] is off"
            )
        found = (
            self.denoiser
            if isinstance(self.denoiser, nn.Module)
            else load_pnp_denoiser(self.denoiser, self.noise_level)
        )
        own = as_denoiser(copied(found).eval())
        own.fold()
        self.denoiser = own

    @torch.no_grad()
    def solve(self, start: Tensor, ball: MeasurementBall) -> tuple[Tensor, SolveStats]:
        """The image that R leaves alone and `ball` allows, from `start` (B, C, H, W), bicubic interpolation as a rule;
        consistent to rounding, or as near as it can be, which the per-sample stats say; samples do not see each other.
        """
        assert isinstance(self.denoiser, nn.Module)
        bound = as_denoiser(self.denoiser).to(start).bind()
        with full_precision(start.device):
            return self._solve(DouglasRachfordMap(bound, ball, start, prior_weight=0.0), start)

    def _solve(self, exact: DouglasRachfordMap, start: Tensor) -> tuple[Tensor, SolveStats]:
        half = half_pays(start.device) if self.half_iterations is None else self.half_iterations
        rounded = exact.rounded(torch.bfloat16) if half and start.dtype == torch.float32 else None
        if rounded is None or self.max_iterations < 2:
            state, stats = self._iterate(exact, start, self.max_iterations)
        else:
            most = min(ROUGH_ITERATIONS, self.max_iterations - 1)
            state, rough = self._iterate(rounded, start, most, max(self.tolerance, ROUGH_RESIDUAL))
            state, fine = self._iterate(exact, state, self.max_iterations - int(rough.evaluations.max()))
            stats = replace(
                fine, evaluations=rough.evaluations + fine.evaluations, trace=torch.cat([rough.trace, fine.trace])
            )
        estimate, reached = exact.ball.settle(exact.estimate(state))
        return estimate, stats.at(reached)

    def _iterate(
        self, step: DouglasRachfordMap, start: Tensor, most: int, tolerance: float | None = None
    ) -> tuple[Tensor, SolveStats]:
        return PicardSolver(tolerance or self.tolerance, most, mixing=self.mixing).solve(step, start)


def load_pnp_denoiser(weights: str | Path = BUNDLED, noise_level: float = 0.06) -> Denoiser:
    """The denoiser of "bundled", "bundled:NAME", "official" (KAIR's for noise of 25/255, downloaded once) or a path:
    ours (also any layer's), the published 6-layer format, or 17-layer networks as published by Ryu et al. (batch norm
    folded) and KAIR (biases), or FFDNet as published by Tassano et al. or KAIR, for `noise_level`; all for gray images
    in [0, 1].

    Raises WeightsError, in one sentence, for any other file, and DataError if the official one cannot be had.
    """
    if weights == OFFICIAL:
        weights = fetch(OFFICIAL_DENOISER, cache_folder() / "weights" / "dncnn_25.pth")
    if not is_bundled(weights):
        published = read_published(read_weights(weights), noise_level)
        if published is not None:
            return published
    return load_denoiser(weights, BUNDLED_DENOISER)
