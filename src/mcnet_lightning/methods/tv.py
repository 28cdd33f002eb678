"""Total variation (Rudin, Osher & Fatemi, 1992) under the constraint: the classical prior, without a network."""

from dataclasses import dataclass
from typing import ClassVar

from mcnet_lightning.methods.primal_dual import SparseDifferences


@dataclass
class TV(SparseDifferences):
    """min_x ||D x||_1 subject to ||b - A x||_2 <= epsilon; real and imaginary part each by itself."""

    name: ClassVar[str] = "tv"
    label: ClassVar[str] = "TV"
    settings: ClassVar[tuple[str, ...]] = ("epsilon", "tv")
    rank: ClassVar[int] = 3
    remedy: ClassVar[str] = "tv.max_steps"
    compared: ClassVar[bool] = False
