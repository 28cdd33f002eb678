"""A method is a row of the ladder: what makes an image of an observation, and what the house must know of it.

A method of your own is a subclass, named by a yaml method/NAME.yaml in `--config-dir`: `# @package method.NAME`,
`_target_`, and the constructor's arguments. `method=[backbone,NAME,mcnet]` gives it a row.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from mcnet_lightning.equilibrium import EquilibriumLayer, MeasurementBall, SolveStats
from mcnet_lightning.problems import Observation, Problem

Made = tuple[Tensor, SolveStats | None]


@dataclass(frozen=True)
class Given:
    """What a method may use. prior_image: w, of a backbone. radii: of { x : ||b - A x||_2 <= radius }, (B,)."""

    observation: Observation
    start: Tensor
    radii: Tensor
    prior_image: Tensor | None = None
    layer: EquilibriumLayer | None = None

    @property
    def ball(self) -> MeasurementBall:
        return MeasurementBall(self.observation.measurement, self.observation.operator, self.radii)

    @property
    def w(self) -> Tensor:
        """The prior image, of methods that say they use a backbone."""
        assert self.prior_image is not None
        return self.prior_image

    def projected(self, image: Tensor) -> Made:
        """What misses its ball is judged by its record, and needs no warning beside it."""
        estimate, _ = self.ball.reach(image)
        return estimate, None


class Method(ABC):
    """An image from an observation.

    name:       in `method=[...]`, records and files.
    label:      in tables; {0} is the backbone.
    settings:   groups or keys of the configuration that the result depends on, beside problem and images; with
                "backbone" among them it starts from the backbone's output, with "layer" it needs a layer.
    consistent: whether it promises ||b - A x||_2 <= epsilon.
    remedy:     what to raise where its iteration has not converged.
    rank:       its place among the rows of a table.
    compared:   whether tables of gains over the backbone have a row for it.
    """

    name: ClassVar[str] = ""
    label: ClassVar[str] = ""
    settings: ClassVar[tuple[str, ...]] = ("backbone", "epsilon")
    consistent: ClassVar[bool] = True
    remedy: ClassVar[str] = ""
    rank: ClassVar[int] = 8
    compared: ClassVar[bool] = True

    @property
    def uses_backbone(self) -> bool:
        return "backbone" in self.settings

    @property
    def needs_layer(self) -> bool:
        return "layer" in self.settings

    def check(self, problem: Problem) -> None:  # noqa: B027 (most are for every problem)
        """Raises ConfigError where it is not for this problem."""

    @abstractmethod
    def run(self, given: Given) -> Made:
        """The image, (B, C, H, W), and how an iteration ended; samples do not see each other."""
