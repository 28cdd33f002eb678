"""The ladder: the same test images by every method, from bicubic to MCNet, one record per image and method."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mcnet_lightning.backbones import FrozenBackbone
from mcnet_lightning.equilibrium import EquilibriumLayer, MeasurementBall, SolveStats, project_measurement_ball
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import ConvergenceError
from mcnet_lightning.evaluation.failures import ended
from mcnet_lightning.evaluation.metrics import consistency, headroom, lr_psnr, psnr, ssim
from mcnet_lightning.evaluation.records import UNBOUNDED, Record
from mcnet_lightning.imaging import Degradation
from mcnet_lightning.methods import TVTV, PnP

NO_BACKBONE = ("bicubic", "pnp")


@dataclass(frozen=True)
class Estimate:
    """What one method made of one image; `seconds` from LR to this, the backbone included where it is used.

    headroom: what a perfect b could add to the backbone's image at most, in dB; None for methods without a backbone.
    """

    method: str
    image: Tensor
    seconds: float
    stats: SolveStats | None = None
    headroom: float | None = None


class Ladder:
    """Runs `methods` on test images; without a layer there is no "mcnet", without a `pnp` no "pnp". One protocol and
    one operator throughout.
    """

    def __init__(
        self,
        backbone: FrozenBackbone,
        layer: EquilibriumLayer | None,
        degradation: Degradation,
        epsilon: float | Epsilon,
        methods: Sequence[str],
        device: torch.device,
        tvtv: TVTV | None = None,
        pnp: PnP | None = None,
    ) -> None:
        self.backbone = backbone.to(device)
        self.layer = None if layer is None else layer.to(device).eval()
        self.degradation = degradation
        self.epsilon = Epsilon.of(epsilon)
        absent = {"mcnet": layer is None, "pnp": pnp is None}
        self.methods = [method for method in methods if not absent.get(method, False)]
        self.device = device
        self.tvtv, self.pnp = tvtv or TVTV(), pnp
        self._makers: dict[str, Callable[[Tensor, Tensor, Tensor], tuple[Tensor, SolveStats | None]]] = {
            "bicubic": lambda b, upsampled, w: (upsampled, None),
            "bicubic+projection": lambda b, upsampled, w: (self._project(upsampled, b), None),
            "backbone": lambda b, upsampled, w: (w, None),
            "backbone+projection": lambda b, upsampled, w: (self._project(w, b), None),
            "tvtv": lambda b, upsampled, w: self.tvtv.solve(w, self._ball(b)),
            "pnp": lambda b, upsampled, w: self._pnp(upsampled, b),
            "mcnet": lambda b, upsampled, w: self._mcnet(w, b),
        }

    @torch.no_grad()
    def estimates(self, image: dict[str, Any]) -> Iterator[Estimate]:
        """The estimates of one degraded test image (see `WholeImages`), in the order of `methods`.

        Raises WeightsError where the backbone's output is not finite, ConvergenceError where a method's is not.
        """
        b, upsampled = image["measurement"].to(self.device), image["upsampled"].to(self.device)
        start = time.perf_counter()
        w = self.backbone.prior_image(image, self.device)
        backbone_seconds = self._elapsed(start)
        room = self._headroom(w, image["truth"].to(self.device))
        for method in self.methods:
            start = time.perf_counter()
            estimate, stats = self._makers[method](b, upsampled, w)
            alone = method.startswith(NO_BACKBONE)
            seconds = self._elapsed(start) + (0.0 if alone else backbone_seconds)
            if not bool(torch.isfinite(estimate).all()):
                how = "its result holds NaN or Inf" if stats is None else ended(stats)
                raise ConvergenceError(f"{image['name']}: {method}: {how}")
            yield Estimate(method, estimate, seconds, stats, None if alone else room)

    def measure(self, image: dict[str, Any], estimate: Estimate) -> Record:
        """Quality against HR and agreement with b, by the protocol."""
        protocol, scale = self.degradation.protocol, self.degradation.scale
        truth, b = (image[name].to(self.device) for name in ("truth", "measurement"))
        operator = self.degradation.operator
        return Record(
            protocol=self.degradation.protocol_label,
            operator=operator.name,
            dataset=image["dataset"],
            scale=scale,
            backbone=self.backbone.spec.name,
            method=estimate.method,
            image=image["name"],
            psnr_y=psnr(estimate.image, truth, scale, protocol).item(),
            ssim_y=ssim(estimate.image, truth, scale, protocol).item(),
            consistency=consistency(estimate.image, b, operator).item(),
            lr_psnr=lr_psnr(estimate.image, b, operator).item(),
            evaluations=None if estimate.stats is None else float(estimate.stats.evaluations[0]),
            residual=None if estimate.stats is None else float(estimate.stats.residual[0]),
            seconds=estimate.seconds,
            epsilon=None if estimate.method in UNBOUNDED else self.epsilon.radii(b, operator).item(),
            headroom=estimate.headroom,
        )

    def _headroom(self, w: Tensor, truth: Tensor) -> float:
        degradation = self.degradation
        return headroom(w, truth, degradation.operator, degradation.scale, degradation.protocol).item()

    def _project(self, image: Tensor, b: Tensor) -> Tensor:
        """What misses its ball is judged by its record, and needs no warning beside it."""
        operator = self.degradation.operator
        return project_measurement_ball(image, b, operator, self.epsilon.radii(b, operator), lambda reached: None)

    def _ball(self, b: Tensor) -> MeasurementBall:
        operator = self.degradation.operator
        return MeasurementBall(b, operator, self.epsilon.radii(b, operator))

    def _pnp(self, start: Tensor, b: Tensor) -> tuple[Tensor, SolveStats]:
        assert self.pnp is not None
        return self.pnp.solve(start, self._ball(b))

    def _mcnet(self, w: Tensor, b: Tensor) -> tuple[Tensor, SolveStats]:
        assert self.layer is not None
        operator = self.degradation.operator
        result = self.layer(w, b, operator, self.epsilon.radii(b, operator))
        return result.estimate, result.stats

    def _elapsed(self, start: float) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - start
