"""A complex image that agrees with its k-space: backbone, layer and the exact projection, as for pictures.

Networks see the image divided by the largest magnitude of the zero-filled one; what comes out, and every distance, is
in the units of k-space again.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mcnet_lightning.backbones import FrozenBackbone
from mcnet_lightning.equilibrium import EquilibriumLayer, MeasurementBall, Outcome, Reached, SolveStats
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import ConfigError, ConvergenceError, DataError
from mcnet_lightning.problems import Observation
from mcnet_lightning.restoration.batch import describe_stats
from mcnet_lightning.restoration.kspace import KSpace

ROUNDING = 1e-6  # of ||b||: what complex64 files and arithmetic may leave
FOREIGN = 0.5  # of ||b||: an image that is further away, at any brightness, is of other data
UNITS = 0.25  # by which its brightness may be off


@dataclass(frozen=True)
class RestoredScan:
    """image: (1, 2, H, W), float64. epsilon: its l2 radius. reached: how near it came. stats: of the layer, if any. All
    in the units of k-space.
    """

    image: Tensor
    epsilon: float
    reached: Reached
    stats: SolveStats | None = None


class ScanRestorer:
    """Frozen backbone and layer (or None: the exact projection alone), for one slice after another."""

    def __init__(
        self,
        backbone: FrozenBackbone,
        layer: EquilibriumLayer | None = None,
        epsilon: float | Epsilon | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.backbone = backbone.to(self.device)
        self.layer = None if layer is None else layer.to(self.device).eval()
        self.epsilon = kspace_epsilon(epsilon)

    @torch.no_grad()
    def __call__(self, scan: KSpace) -> RestoredScan:
        """Raises WeightsError where the backbone makes NaN, ConvergenceError where the layer does, and ConfigError for
        a backbone that is not for complex images.
        """
        peak = scan.peak
        start = (scan.start / peak).to(self.device, torch.float32)
        b = (scan.measurement / peak).to(self.device, torch.float32)
        made = self.backbone.of(Observation(torch.zeros_like(start), b, scan.operator, {"start": start}))
        if made.shape != start.shape:
            raise ConfigError(
                f"{self.backbone.spec.name} makes images {tuple(made.shape[1:])}, and complex ones of two channels, "
                f"{tuple(start.shape[1:])}, are needed"
            )
        stats = None
        if self.layer is not None:
            result = self.layer(made, b, scan.operator, radius_of(self.epsilon, scan) / peak)
            result.stats.raise_if_not_finite()
            made, stats = result.estimate, result.stats
        restored = agreeing(made.cpu().double() * peak, scan, self.epsilon)
        return restored if stats is None else replace(restored, stats=self._judged(stats, restored.reached))

    def _judged(self, stats: SolveStats, reached: Reached) -> SolveStats:
        """The layer's solve, with the image that was projected once more, in float64: that one has to agree with b."""
        ended = [int(stats.outcome[0]) == each for each in (Outcome.INCONSISTENT, Outcome.INEXACT)]
        if any(ended):
            settled = float(stats.residual[0]) <= getattr(getattr(self.layer, "solver", None), "tolerance", 0.0)
            outcome = Outcome.CONVERGED if settled else Outcome.MAX_EVALUATIONS
            stats = replace(stats, outcome=torch.full_like(stats.outcome, int(outcome)))
        return stats.at(reached)


@torch.no_grad()
def agreeing(image: Tensor, scan: KSpace, epsilon: Epsilon) -> RestoredScan:
    """The nearest image with ||A x - b|| <= epsilon. Raises ConvergenceError if it is not finite."""
    radius, peak = radius_of(epsilon, scan), scan.peak
    x, found = MeasurementBall(scan.measurement / peak, scan.operator, radius / peak).reach(image / peak)
    if not bool(torch.isfinite(x).all()):
        raise ConvergenceError("the projected image holds NaN or Inf; check k-space and the coil maps")
    distance = distance_of(x * peak, scan)
    met = meets(distance, radius, scan)  # to the rounding of single precision, in which k-space itself is stored
    outcome = torch.full_like(found.outcome, int(Outcome.CONVERGED)) if met else found.outcome
    attainable = torch.full_like(found.attainable, torch.nan) if met else found.attainable * peak
    reached = Reached(torch.full_like(attainable, distance), attainable, outcome)
    return RestoredScan(x * peak, radius, reached)


def kspace_epsilon(epsilon: float | Epsilon | None) -> Epsilon:
    """0 where nothing is said. Raises ConfigError for grey levels, which k-space has none of."""
    found = Epsilon.of(0.0 if epsilon is None else epsilon)
    if found.unit == "levels":
        raise ConfigError("epsilon_levels is for pictures, and k-space has no grey levels; give epsilon or epsilon_rms")
    return found


def radius_of(epsilon: Epsilon, scan: KSpace) -> float:
    """The l2 radius in the units of k-space."""
    return float(epsilon.radii(scan.measurement, scan.operator)[0])


@torch.no_grad()
def distance_of(image: Tensor, scan: KSpace) -> float:
    """||A x - b||_2 of (1, 2, H, W). Raises DataError where the sizes do not belong together."""
    if tuple(image.shape[-2:]) != scan.size:
        (height, width), (h, w) = image.shape[-2:], scan.size
        raise DataError(f"the image has {height} x {width} pixels, and k-space {h} x {w} samples; check the pair")
    return float((scan.operator(image.double()) - scan.measurement).norm())


def meets(distance: float, epsilon: float, scan: KSpace) -> bool:
    """Whether that is within epsilon, but for the rounding of complex64."""
    return distance <= epsilon + ROUNDING * float(scan.measurement.norm())


@torch.no_grad()
def refuse_foreign(image: Tensor, scan: KSpace) -> None:
    """Raises DataError for an image (1, 2, H, W) that is of other data than k-space, or in other units."""
    distance_of(image, scan)
    made, b = scan.operator(image.double()), scan.measurement
    power = float(made.square().sum())
    share = float((made * b).sum()) / power if power else 0.0
    left = float((share * made - b).norm() / b.norm())
    if left > FOREIGN:
        raise DataError(
            f"at the brightness that fits best, its k-space is still {left:.0%} of the measured one away: take the "
            "complex image, not its magnitude, in the same orientation and of the same slice, or go on with force=true"
        )
    if abs(share - 1) > UNITS:
        raise DataError(
            f"it is in other units: {share:.4g} times as bright it fits k-space best; multiply it by that, or go "
            "on with force=true"
        )


def describe_solve(restored: RestoredScan) -> dict[str, Any] | None:
    """How it ended: of the layer's solve, and else of the projection where that missed its ball."""
    found = describe_stats(restored.stats)
    outcome = Outcome(int(restored.reached.outcome[0]))
    if found is None and outcome != Outcome.CONVERGED:
        least = float(restored.reached.attainable[0])
        found = {"outcome": outcome.name.lower(), **({} if math.isnan(least) else {"attainable": least})}
    return found
