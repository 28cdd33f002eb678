"""Problems whose figures count the whole image, cut off at 0 and 1."""

from torch import Tensor

from mcnet_lightning.equilibrium.epsilon import LEVELS, Epsilon
from mcnet_lightning.problems.base import Problem
from mcnet_lightning.problems.observation import Observation
from mcnet_lightning.problems.quality import psnr, ssim


class Clipped(Problem):
    """Values are in [0, 1], and figures are those of `standard`, without a border."""

    def quality(self, estimate: Tensor, truth: Tensor) -> dict[str, Tensor]:
        return {"psnr": self.headline(estimate, truth), "ssim": ssim(estimate, truth, 0, "standard")}

    def headline(self, estimate: Tensor, truth: Tensor) -> Tensor:
        return psnr(estimate, truth, 0, "standard")

    def counted(self, image: Tensor) -> Tensor:
        return image.clamp(0, 1)


class NoisyPicture(Clipped):
    """b is a picture with Gaussian noise; `noise`: its standard deviation in grey levels of 255."""

    noise: float

    def radius(self, observation: Observation) -> Tensor:
        return Epsilon(self.noise / LEVELS, "noise").radii(observation.measurement, observation.operator)

    def seen(self, observation: Observation) -> Tensor:
        return observation.measurement.clamp(0, 1)
