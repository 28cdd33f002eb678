"""The ladder: the same test images by every method, from the start to MCNet, one record per image and method."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mcnet_lightning.backbones import FrozenBackbone
from mcnet_lightning.equilibrium import EquilibriumLayer, SolveStats
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import ConfigError, ConvergenceError
from mcnet_lightning.evaluation.failures import ended
from mcnet_lightning.evaluation.metrics import consistency, headroom, lr_psnr
from mcnet_lightning.evaluation.records import Record
from mcnet_lightning.methods import Given, Method
from mcnet_lightning.problems import Problem


@dataclass(frozen=True)
class Estimate:
    """What one method made of one image; `seconds` from b to this, the backbone included where it is used.

    headroom: what a perfect b could add to the backbone's image at most, in dB; None for methods without a backbone.
    """

    method: Method
    image: Tensor
    seconds: float
    stats: SolveStats | None = None
    headroom: float | None = None


class Ladder:
    """Runs `methods` on test images; without a layer those that need one have no row. One problem throughout."""

    def __init__(
        self,
        backbone: FrozenBackbone,
        layer: EquilibriumLayer | None,
        problem: Problem,
        epsilon: float | Epsilon,
        methods: Sequence[Method],
        device: torch.device,
    ) -> None:
        self.backbone = backbone.to(device)
        self.layer = None if layer is None else layer.to(device).eval()
        self.problem = problem
        self.epsilon = Epsilon.of(epsilon)
        self.methods = [method for method in methods if layer is not None or not method.needs_layer]
        if methods and not self.methods:
            raise ConfigError(
                f"method=[{','.join(method.name for method in methods)}] needs a layer; choose one in layer.weights"
            )
        for method in self.methods:
            method.check(problem)
        self.device = device

    @torch.no_grad()
    def estimates(self, image: dict[str, Any]) -> Iterator[Estimate]:
        """The estimates of one observed test image (see `WholeImages`), in the order of `methods`.

        Raises WeightsError where the backbone's output is not finite, ConvergenceError where a method's is not.
        """
        observation = image["observation"].to(self.device)
        start, room, w, backbone_seconds = time.perf_counter(), None, None, 0.0
        if any(method.uses_backbone for method in self.methods):
            w = self.backbone.prior_image(image, self.device)
            backbone_seconds = self._elapsed(start)
            room = headroom(w, observation, self.problem).item()
        radii = self.problem.radii(self.epsilon, observation)
        given = Given(observation, self.problem.start(observation), radii, w, self.layer)
        for method in self.methods:
            start = time.perf_counter()
            estimate, stats = method.run(given)
            seconds = self._elapsed(start) + (backbone_seconds if method.uses_backbone else 0.0)
            if not bool(torch.isfinite(estimate).all()):
                how = "its result holds NaN or Inf" if stats is None else ended(stats)
                raise ConvergenceError(f"{image['name']}: {method.name}: {how}")
            yield Estimate(method, estimate, seconds, stats, room if method.uses_backbone else None)

    def measure(self, image: dict[str, Any], estimate: Estimate) -> Record:
        """Quality against the truth and agreement with b, by the protocol."""
        problem, observation = self.problem, image["observation"].to(self.device)
        truth, b, operator = observation.truth, observation.measurement, observation.operator
        method, stats = estimate.method, estimate.stats
        return Record(
            protocol=problem.label,
            operator=problem.operator_name,
            dataset=image["dataset"],
            scale=problem.scale,
            backbone=self.backbone.spec.name,
            method=method.name,
            image=image["name"],
            figures={name: value.item() for name, value in problem.quality(estimate.image, truth).items()},
            consistency=consistency(estimate.image, b, operator).item(),
            lr_psnr=lr_psnr(estimate.image, b, operator).item(),
            evaluations=None if stats is None else float(stats.evaluations[0]),
            residual=None if stats is None else float(stats.residual[0]),
            seconds=estimate.seconds,
            epsilon=problem.radii(self.epsilon, observation).item() if method.consistent else None,
            headroom=estimate.headroom,
            problem=problem.name,
            group=image["group"],
        )

    def _elapsed(self, start: float) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - start
