"""A network, an operator, a denoiser, a solver, a method and a problem of one's own, each with what must be known."""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from mcnet_lightning.equilibrium import AndersonSolver, SelectableMap, SolveStats
from mcnet_lightning.methods import Given, Made, Method
from mcnet_lightning.operators import Mask, MeasurementOperator
from mcnet_lightning.problems import Observation, Problem


class Sharpened(nn.Module):
    """Unsharp masking of the bicubically enlarged luma: (B, 1, H, W) -> (B, 1, H, W).

    gain: how much of the details is added
    """

    input_kind = "upsampled"  # or "measurement" (luma of LR), "lr_rgb" (colour of LR)
    label = "Sharpened"
    start_of_beta = 0.05

    def __init__(self, gain: Annotated[float, {"minimum": 0.0}] = 0.2) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, upsampled: Tensor) -> Tensor:
        return upsampled + self.gain * (upsampled - nn.functional.avg_pool2d(upsampled, 3, 1, 1))


class Averaged(MeasurementOperator):
    """b = means of blocks of scale x scale pixels.

    gain: every mean is multiplied by it
    """

    def __init__(self, scale: int, gain: float = 1.0) -> None:
        self.scale, self.gain = scale, gain

    @property
    def name(self) -> str:
        return f"averaged-x{self.scale}-{self.gain:g}"

    def measurement_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        return image_size[0] // self.scale, image_size[1] // self.scale

    def image_size(self, measurement_size: tuple[int, int]) -> tuple[int, int]:
        return measurement_size[0] * self.scale, measurement_size[1] * self.scale

    def __call__(self, image: Tensor) -> Tensor:
        return self.gain * nn.functional.avg_pool2d(image, self.scale)

    def adjoint(self, measurement: Tensor, image_size: tuple[int, int] | None = None) -> Tensor:
        spread = measurement.repeat_interleave(self.scale, -2).repeat_interleave(self.scale, -1)
        return self.gain * spread / self.scale**2


class Smoother(nn.Module):
    """R(v) = (1 - a) v + a K v, K a learned 3 x 3 convolution that starts as a mean.

    width: features between its two convolutions
    border: how the image goes on beyond its border
    """

    def __init__(self, width: int = 4, border: Literal["zeros", "reflect", "replicate"] = "replicate") -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1, padding_mode=border, bias=False)
        self.last = nn.Conv2d(width, 1, 1, bias=False)
        nn.init.constant_(self.first.weight, 1 / 9)
        nn.init.constant_(self.last.weight, 1 / width)

    def forward(self, image: Tensor) -> Tensor:
        return 0.9 * image + 0.1 * self.last(self.first(image))


class Patient(AndersonSolver):
    """Anderson acceleration with a tenth of the tolerance.

    tolerance: ten times what is reached
    """

    def __init__(self, tolerance: float = 1e-4, max_evaluations: int = 60) -> None:
        super().__init__(tolerance / 10, max_evaluations)

    def solve(
        self, fixed_point_map: SelectableMap | Callable[[Tensor], Tensor], start: Tensor
    ) -> tuple[Tensor, SolveStats]:
        return super().solve(fixed_point_map, start)


class Halfway(Method):
    """Part of the way from the backbone's image to the nearest one that agrees with the measurement.

    share: how far; 1 is all the way
    """

    name = "halfway"
    label = "{0}, halfway"  # {0}: the backbone
    consistent = False  # it promises no ||b - A x|| <= epsilon

    def __init__(self, share: Annotated[float, {"minimum": 0.0, "maximum": 1.0}] = 0.5) -> None:
        self.share = share

    def run(self, given: Given) -> Made:
        nearest, stats = given.projected(given.w)
        return given.w.lerp(nearest, self.share), stats


class Striped(Problem):
    """x is the gray picture; every `period`-th column of the detector is dead, and b is what the others say.

    period: distance of dead columns
    """

    name = "striped"
    start_name = "neighbours"  # what `start` is called in tables
    figures = ("psnr",)  # the first is the one that gains are told in
    noisy = False  # epsilon is 0 unless something else is said

    def __init__(self, period: Annotated[int, {"minimum": 2}] = 4) -> None:
        self.period = period

    @property
    def label(self) -> str:
        return f"striped{self.period}"  # the protocol: a table never mixes two

    @property
    def operator_name(self) -> str:
        return f"dead-columns-{self.period}"

    def observe(self, images: Tensor, seed: int) -> Observation:
        truth = images.mean(dim=1, keepdim=True)  # (B, 3, H, W) to (B, 1, H, W)
        alive = torch.ones(truth.shape[-2:])
        alive[..., :: self.period] = 0
        operator = Mask(alive)
        b = operator(truth)
        neighbours = (b.roll(1, -1) + b.roll(-1, -1)) / 2
        return Observation(truth, b, operator, {"start": torch.where(alive > 0, b, neighbours)}, colour=images)

    def radius(self, observation: Observation) -> Tensor:
        return torch.zeros(len(observation), dtype=torch.float64)  # there is no noise

    def quality(self, estimate: Tensor, truth: Tensor) -> dict[str, Tensor]:
        error = (estimate.double() - truth.double()).square().mean(dim=(1, 2, 3))
        return {"psnr": -10 * error.log10()}
