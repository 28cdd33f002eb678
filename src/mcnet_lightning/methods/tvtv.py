"""TV-TV minimisation (Vella & Mota, ICIP 2019; Robust single-image super-resolution via CNNs and TV-TV minimization,
TIP 2021): the post-processing that MCNet is compared with.
"""

from dataclasses import dataclass
from typing import ClassVar

from mcnet_lightning.methods.base import Given, Made
from mcnet_lightning.methods.primal_dual import SparseDifferences


@dataclass
class TVTV(SparseDifferences):
    """min_x ||D x||_1 + beta ||D (x - w)||_1 subject to ||b - A x||_2 <= epsilon; beta is 1 as published."""

    prior_weight: float = 1.0
    name: ClassVar[str] = "tvtv"
    label: ClassVar[str] = "TVTV+{0}"
    settings: ClassVar[tuple[str, ...]] = ("backbone", "epsilon", "tvtv")
    rank: ClassVar[int] = 6
    remedy: ClassVar[str] = "tvtv.max_steps"

    def run(self, given: Given) -> Made:
        return self.solve(given.w, given.ball)
