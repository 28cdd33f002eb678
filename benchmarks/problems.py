"""What the solvers are given: real patches and images with the bundled networks, and the converged float64 answer."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from mcnet_lightning import GMRES, AndersonSolver, EquilibriumLayer, MeasurementOperator, load_backbone, load_layer
from mcnet_lightning.data import NamedImage, WholeImages, cut_patches, load_images
from mcnet_lightning.data.sources import EMBEDDED
from mcnet_lightning.equilibrium import DouglasRachfordMap
from mcnet_lightning.problems.quality import psnr
from mcnet_lightning.problems.super_resolution import ProtocolName, SuperResolution

PROTOCOL: ProtocolName = "paper"
TRAIN_BETA = 0.05
CONVERGED, CONVERGED_GRADIENT, CONVERGED_ESTIMATE, ROUGH = 1e-10, 1e-8, 1e-9, 1e-6
TENSORS = ("measurement", "prior_image", "truth")
MANY = 300  # evaluations and products that the reference may take


@dataclass(frozen=True)
class Problem:
    """One batch for one layer: b, w, x of HR, A and epsilon."""

    name: str
    layer: EquilibriumLayer
    operator: MeasurementOperator
    measurement: Tensor
    prior_image: Tensor
    truth: Tensor
    epsilon: float
    scale: int

    def to(self, device: str) -> "Problem":
        tensors = {name: getattr(self, name).to(device) for name in TENSORS}
        return replace(self, layer=self.layer.to(device), **tensors)

    def map(self) -> DouglasRachfordMap:
        """T, the same for every scheme; the denoiser's weights are bound here, once per solve."""
        return self.layer.map(self.prior_image, self.measurement, self.operator, self.epsilon)

    def double(self) -> "Problem":
        tensors = {name: getattr(self, name).double() for name in TENSORS}
        return replace(self, layer=deepcopy(self.layer).double(), **tensors)

    def loss(self, estimate: Tensor) -> Tensor:
        return (estimate - self.truth).square().mean()

    def gradient(self) -> Tensor:
        """dL/dtheta of the last backward pass: all weights of the denoiser in one float64 vector."""
        gradients = []
        for weight in self.layer.denoiser.parameters():
            assert weight.grad is not None
            gradients.append(weight.grad.double().flatten())
        return torch.cat(gradients)

    def psnr(self, estimate: Tensor) -> float:
        """Mean over the samples, in dB."""
        return psnr(estimate, self.truth, self.scale, PROTOCOL).mean().item()

    def residual(self, state: Tensor) -> float:
        """||T(y) - y|| / ||T(y)||, of the worst sample."""
        with torch.no_grad():
            value = self.map()(state)
        gap, size = ((t.flatten(1).norm(dim=1, dtype=torch.float64)) for t in (value - state, value))
        return (gap / size).max().item()


def patches(batch: int, side: int, epsilon: float) -> Problem:
    """A training batch, x2: patches of the embedded photographs, the bundled layer at beta 0.05.

    The layer is in eval mode, where the spectral norm stays on the tape but its power iteration stands still: every
    scheme sees the same weights.
    """
    degradation = SuperResolution(PROTOCOL, 2)
    photographs = [image.rgb for image in load_images(EMBEDDED, "train")]
    layer = load_layer(scale=2).eval()
    layer.set_prior_weight(TRAIN_BETA)
    seen = cut_patches(photographs, degradation, side, side, seed=0, limit=batch).observation
    prior = load_backbone("srcnn", 2).of(seen)
    return Problem("patches", layer, seen.operator, seen.measurement, prior, seen.truth, epsilon, 2)


def images(scale: int, epsilon: float, data: Path | None, crop: int | None, limit: int | None = None) -> list[Problem]:
    """Set5 of `data`, or the embedded test photographs; the bundled layer with folded weights, at its own beta."""
    found = load_images("Set5", "test", str(data)) if data else load_images(EMBEDDED, "test")
    return _whole_images(found[:limit], scale, epsilon, crop)


def mosaic(side: int) -> Problem:
    """An image of any size, x2: the first test photograph, mirrored at its edges."""
    photograph = load_images(EMBEDDED, "test")[0]
    rows, columns = (_mirrored(side, size) for size in photograph.rgb.shape[1:])
    return _whole_images([replace(photograph, rgb=photograph.rgb[:, rows][:, :, columns])], 2, 0.0, None)[0]


def _mirrored(count: int, size: int) -> Tensor:
    index = torch.arange(count) % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def _whole_images(found: Sequence[NamedImage], scale: int, epsilon: float, crop: int | None) -> list[Problem]:
    degradation = SuperResolution(PROTOCOL, scale)
    backbone, layer = load_backbone("srcnn", scale), load_layer(scale=scale).eval().fold()
    observed = WholeImages(found, degradation, crop)
    return [
        Problem(
            name=image["name"],
            layer=layer,
            operator=degradation.operator,
            measurement=image["observation"].measurement,
            prior_image=backbone.prior_image(image),
            truth=image["observation"].truth,
            epsilon=epsilon,
            scale=scale,
        )
        for image in (observed[index] for index in range(len(observed)))
    ]


def converged_gradient(problem: Problem) -> Tensor:
    """dL/dtheta at the fixed point, in float64."""
    exact = problem.double()
    exact.layer.solver = AndersonSolver(CONVERGED, MANY)
    exact.layer.backward_solver = GMRES(CONVERGED_GRADIENT, max_products=MANY)
    result = exact.layer(exact.prior_image, exact.measurement, exact.operator, exact.epsilon)
    exact.loss(result.estimate).backward()
    for stats in (result.stats, exact.layer.backward_stats):
        assert stats is not None
        stats.raise_if_failed()
    return exact.gradient()


@torch.no_grad()
def converged_estimate(problem: Problem) -> Tensor:
    """x at the fixed point, in float64; float32 goes most of the way."""
    rough, exact = problem, problem.double()
    rough.layer.solver, exact.layer.solver = AndersonSolver(ROUGH, MANY), AndersonSolver(CONVERGED_ESTIMATE, MANY)
    start = rough.layer(rough.prior_image, rough.measurement, rough.operator, rough.epsilon).state.double()
    result = exact.layer(exact.prior_image, exact.measurement, exact.operator, exact.epsilon, start)
    result.stats.raise_if_failed()
    return result.estimate
