"""Consistency of a restored image, and means over images, as torchmetrics; every figure is per image, then averaged."""

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from mcnet_lightning.equilibrium import MeasurementBall
from mcnet_lightning.equilibrium.precision import doubled
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.problems import Observation, Problem

ERRORS = ("consistency", "residual")  # figures whose infinity is no sign of perfection


def consistency(estimate: Tensor, measurement: Tensor, operator: MeasurementOperator) -> Tensor:
    """||A x - b||_2 per image (B,), Y in [0, 1], computed in float64 so that it measures x and not the metric."""
    return (operator(doubled(estimate)) - doubled(measurement)).flatten(1).norm(dim=1)


def lr_psnr(estimate: Tensor, measurement: Tensor, operator: MeasurementOperator) -> Tensor:
    """PSNR in dB of A x against b, per image (B,); infinite for a perfect match."""
    squared_error = (operator(doubled(estimate)) - doubled(measurement)).square().flatten(1).mean(dim=1)
    return -10 * torch.log10(squared_error)


def headroom(prior_image: Tensor, observation: Observation, problem: Problem) -> Tensor:
    """What a perfect b could add to w at most, per image (B,): the headline figure of the image nearest to w that has
    the true measurement A x_true, over that of w.

    For PSNR over the whole image that is -10 log10(1 - share of the error's energy that A sees), as the projection
    removes all of A^+ A (w - x_true), and nothing else. Errors of a border that is left out can be spread inwards, and
    make it negative there.
    """
    truth = doubled(observation.truth)
    w = problem.counted(doubled(prior_image))
    operator = observation.operator
    perfect, _ = MeasurementBall(operator(truth), operator).reach(w)
    of_w = problem.headline(w, truth)
    gain = problem.headline(perfect, truth) - of_w
    return gain.masked_fill(of_w == math.inf, 0.0)  # of an image without error


class ImageMeans(Metric):
    """Means over images of named per-image figures: the same to the last bit however the images are sharded.

    An image without error has an infinite PSNR, and no gain; both stay out of their means.
    """

    full_state_update = False
    rows: list[Tensor]

    def __init__(self, names: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self.names = names
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, counts: bool = True, **figures: Tensor) -> None:
        """One value per image, (B,), for each name. `counts=False`: seen only to keep processes in step."""
        # where processes exchange them: what a solve counted lies on the host, what it made does not
        home = torch.device("cpu") if self.device.type == "mps" else self.device
        columns = [doubled(figures[name]).reshape(-1).to(home) for name in self.names]
        self.rows.append(torch.stack([*columns, torch.full_like(columns[0], float(counts))], dim=1))

    def compute(self) -> dict[str, Tensor]:
        rows = dim_zero_cat(self.rows)
        counted = rows[rows[:, -1] == 1, :-1].cpu()
        decibel = torch.tensor([name not in ERRORS for name in self.names])
        exact = (counted[:, decibel] == math.inf).any(dim=1, keepdim=True)
        known = counted.isfinite() | ~exact
        means = [_mean(column, mask) for column, mask in zip(counted.T, known.T, strict=True)]
        return {name: torch.tensor(mean, dtype=torch.float64) for name, mean in zip(self.names, means, strict=True)}


def _mean(column: Tensor, known: Tensor) -> float:
    values = (column[known] if bool(known.any()) else column[:1]).tolist()
    return math.fsum(values) / len(values)  # exact, so the order is no matter
