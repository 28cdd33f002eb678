"""Computed tomography: attenuation from the sums along parallel rays of few views."""

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.files.downloads import cache_folder
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.operators.dense import LARGEST_GRAM, dense_gram
from mcnet_lightning.operators.tomography import ParallelBeam
from mcnet_lightning.problems.base import noise
from mcnet_lightning.problems.clipped import Clipped
from mcnet_lightning.problems.observation import Observation

FINER = 2  # the grid that measurements are simulated on, in pixels per pixel: never on that of x itself
# ||A x - b|| / ||b|| without noise, times the size: what the two grids differ by. On every fourth training slice of
# ct100 it is 0.0044 in the mean (0.0022 to 0.0088) at 128, with 30, 50 or 100 views, and 0.0080 at 64
GRIDS = 0.56
LEAST = 16  # side of x


class CT(Clipped):
    """x is the attenuation, 0 at `low` and 1 at `high` Hounsfield units, cut off there, on a grid `size` x `size`; b is
    its sums along parallel rays, as of an image of side 1, simulated on a grid twice as fine, with Gaussian noise.

    epsilon=noise is the radius that noise and grids lead one to expect (the discrepancy principle). Up to 10,000 sums
    projections are closed form, in an eigenbasis that is computed once for all and kept in the cache folder.

    views: equally spaced over half a turn
    size: side of x in pixels; images are cropped to a square and averaged to twice of it; null: half the square's side
    noise: standard deviation of the noise on a sum; the largest sums of a body are about 0.4
    low: Hounsfield units that are 0
    high: Hounsfield units that are 1
    """

    name = "ct"
    images = "hounsfield"
    local = False
    start_name = "back-projection"
    usual: ClassVar = {"backbone": "unet", "data": "cardiac20"}

    def __init__(
        self,
        views: Annotated[int, {"minimum": 1}] = 50,
        size: Annotated[int | None, {"minimum": LEAST}] = None,
        noise: Annotated[float, {"minimum": 0.0}] = 0.001,
        low: float = -1000.0,
        high: float = 1000.0,
    ) -> None:
        if low >= high:
            raise ConfigError(f"problem.low={low:g} must be below problem.high={high:g}")
        self.views, self.size, self.noise, self.low, self.high = views, size, noise, low, high
        self._operators: dict[int, MeasurementOperator] = {}

    @property
    def label(self) -> str:
        window = "" if (self.low, self.high) == (-1000, 1000) else f"-{self.low:g}to{self.high:g}HU"
        size = "" if self.size is None else f"-{self.size}"
        return f"{self.views}views{size}{window}-noise{self.noise:g}"

    @property
    def operator_name(self) -> str:
        return f"parallel-beam-{self.views}views"

    def fit(self, image: Tensor) -> Tensor:
        """A square of an even side, (1, 2 size, 2 size)."""
        height, width = image.shape[-2:]
        side = min(height, width) // FINER * FINER
        wanted = side if self.size is None else FINER * self.size
        if side < max(wanted, FINER * LEAST):
            raise DataError(
                f"an image of {height} x {width} pixels is smaller than the {wanted} x {wanted} that measurements for "
                f"problem.size={self.size or LEAST} are simulated on; take a smaller size or a larger image"
            )
        top, left = (height - side) // 2, (width - side) // 2
        square = image[..., top : top + side, left : left + side]
        return square if side == wanted else F.adaptive_avg_pool2d(square, wanted)

    def observe(self, images: Tensor, seed: int) -> Observation:
        """(B, 1, 2 size, 2 size) in Hounsfield units."""
        attenuation = ((images - self.low) / (self.high - self.low)).clamp(0, 1)
        fine = ParallelBeam(images.shape[-1], self.views)
        sums = F.avg_pool2d(fine(attenuation), (1, FINER))  # a detector is as wide as two of the finer grid
        if self.noise:
            sums = sums + self.noise * noise(seed, images, sums)
        truth, beam = F.avg_pool2d(attenuation, FINER), ParallelBeam(images.shape[-1] // FINER, self.views)
        return Observation(truth, sums, self._operator(beam), {"start": beam.filtered_back_projection(sums)})

    def _operator(self, beam: ParallelBeam) -> MeasurementOperator:
        """With its eigenbasis, where that can be had."""
        if beam.size not in self._operators:
            small = self.views * beam.size <= LARGEST_GRAM
            folder = cache_folder() / "operators"
            made = dense_gram(beam, (1, beam.size, beam.size), folder) if small else beam
            self._operators[beam.size] = made
        return self._operators[beam.size]

    def radius(self, observation: Observation) -> Tensor:
        """Of Gaussian noise and of the grids, which are independent."""
        b = observation.measurement.cpu().double().flatten(1)
        return (self.noise**2 * b.shape[1] + (GRIDS / observation.truth.shape[-1]) ** 2 * b.square().sum(1)).sqrt()

    def seen(self, observation: Observation) -> Tensor:
        """The sinogram, its largest sum white."""
        b = observation.measurement
        return (b / b.amax(dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(b.dtype).tiny)).clamp(0, 1)
