"""How far an image may be from its measurement: the radius of { x : ||b - A x||_2 <= radius }, in a unit of choice.

The radius is `value` itself (l2), or value sqrt(m), where m values were measured (rms, levels and noise): the same
disagreement per value then holds for a training patch and for a whole picture.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import MeasurementOperator

Unit = Literal["l2", "rms", "levels", "noise"]
UNITS: tuple[Unit, ...] = ("l2", "rms", "levels", "noise")
LEVELS = 255


@dataclass(frozen=True)
class Epsilon:
    """l2: `value` is the radius. rms: the root mean square per measured value, in the units of b. levels: the same in
    grey levels of 255. noise: the root mean square of what noise and rounding do to b, in the units of b.
    """

    value: float = 0.0
    unit: Unit = "l2"

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ConfigError(f"epsilon in {self.unit!r} is unknown; use one of {', '.join(UNITS)}")
        if not (math.isfinite(self.value) and self.value >= 0):
            raise ConfigError(f"epsilon={self.value} must be finite and at least 0")

    @staticmethod
    def of(epsilon: "float | Epsilon") -> "Epsilon":
        """A plain number is an l2 radius."""
        return epsilon if isinstance(epsilon, Epsilon) else Epsilon(float(epsilon))

    def radius(self, values: int) -> float:
        """The l2 radius where so many values were measured."""
        if self.unit == "l2":
            return self.value
        return self.value / (LEVELS if self.unit == "levels" else 1) * math.sqrt(values)

    def radii(self, measurement: Tensor, operator: MeasurementOperator) -> Tensor:
        """The l2 radius of every sample, float64 (B,), on the CPU: not every device has float64."""
        if self.unit == "l2":
            return torch.full((len(measurement),), self.value, dtype=torch.float64)
        counts = measured_values(measurement, operator)
        return torch.tensor([self.radius(count) for count in counts], dtype=torch.float64)

    @property
    def label(self) -> str:
        """As it is typed: epsilon=0.1, epsilon_levels=0.5, epsilon=noise."""
        if self.unit == "noise":
            return "epsilon=noise"
        return f"epsilon{'' if self.unit == 'l2' else f'_{self.unit}'}={self.value:g}"

    @property
    def short(self) -> str:
        """For names of runs: eps0.1, eps_levels0.5, eps_noise."""
        if self.unit == "noise":
            return "eps_noise"
        return f"eps{'' if self.unit == 'l2' else f'_{self.unit}'}{self.value:g}"

    @property
    def stated(self) -> float | str:
        """For files: the number itself where it is an l2 radius, else with its unit."""
        return self.value if self.unit == "l2" else self.label


def measured_values(measurement: Tensor, operator: MeasurementOperator) -> list[int]:
    """How many values of each sample were measured: all of b but what the operator ignores, such as masked pixels."""
    seen = operator.measured(torch.ones_like(measurement)) != 0
    counts: list[int] = seen.flatten(1).sum(1).tolist()
    return counts
