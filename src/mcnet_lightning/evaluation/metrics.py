"""Quality and consistency of a restored Y image, as torchmetrics; every figure is per image, then averaged."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from kornia.metrics import ssim as gaussian_ssim
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchmetrics.utilities import dim_zero_cat

from mcnet_lightning.equilibrium import project_measurement_ball
from mcnet_lightning.equilibrium.precision import doubled
from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging.degradation import ProtocolName
from mcnet_lightning.operators import MeasurementOperator

WINDOW: dict[str, int] = {"paper": 7, "standard": 11}  # of SSIM, in pixels

ERRORS = ("consistency", "residual")  # figures whose infinity is no sign of perfection


def shave(image: Tensor, border: int) -> Tensor:
    """Removes `border` pixels on every side. Raises DataError if nothing would be left."""
    if min(image.shape[-2:]) <= 2 * border:
        raise DataError(
            f"an image of {image.shape[-2]} x {image.shape[-1]} pixels has nothing within the border of {border} "
            "pixels that PSNR leaves out; take it out of the set"
        )
    return image[..., border:-border, border:-border] if border else image


def psnr(estimate: Tensor, truth: Tensor, border: int, protocol: ProtocolName = "paper") -> Tensor:
    """10 log10(1 / mse) in dB, per image (B,), `border` pixels removed; `standard` clips the estimate to [0, 1]."""
    estimate = estimate.clamp(0, 1) if protocol == "standard" else estimate
    pairs = zip(doubled(shave(estimate, border)), doubled(shave(truth, border)), strict=True)
    return torch.stack([peak_signal_noise_ratio(x, y, data_range=1.0) for x, y in pairs])


def ssim(estimate: Tensor, truth: Tensor, border: int, protocol: ProtocolName = "paper") -> Tensor:
    """Structural similarity per image (B,): `paper` as scikit-image's default, `standard` as Wang et al. 2004.

    NaN for images smaller than the window, of which it is not defined.
    """
    estimate = estimate.clamp(0, 1) if protocol == "standard" else estimate
    x, y = doubled(shave(estimate, border)), doubled(shave(truth, border))
    if min(x.shape[-2:]) < WINDOW[protocol]:
        return x.new_full((len(x),), math.nan)
    if protocol == "paper":
        return ssim_uniform(x, y, WINDOW[protocol])
    return gaussian_ssim(x, y, WINDOW[protocol], max_val=1.0, padding="valid").mean(dim=(1, 2, 3))


def ssim_uniform(x: Tensor, y: Tensor, window: int = 7) -> Tensor:
    """SSIM with a uniform window and sample covariances: equals skimage.metrics.structural_similarity(data_range=1)."""
    mean_x, mean_y = F.avg_pool2d(x, window, 1), F.avg_pool2d(y, window, 1)
    unbiased = window**2 / (window**2 - 1)
    variance_x = unbiased * (F.avg_pool2d(x * x, window, 1) - mean_x**2)
    variance_y = unbiased * (F.avg_pool2d(y * y, window, 1) - mean_y**2)
    covariance = unbiased * (F.avg_pool2d(x * y, window, 1) - mean_x * mean_y)
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    denominator = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    return (numerator / denominator).mean(dim=(1, 2, 3))


def consistency(estimate: Tensor, measurement: Tensor, operator: MeasurementOperator) -> Tensor:
    """||A x - b||_2 per image (B,), Y in [0, 1], computed in float64 so that it measures x and not the metric."""
    return (operator(doubled(estimate)) - doubled(measurement)).flatten(1).norm(dim=1)


def lr_psnr(estimate: Tensor, measurement: Tensor, operator: MeasurementOperator) -> Tensor:
    """PSNR in dB of A x against b, per image (B,); infinite for a perfect match."""
    squared_error = (operator(doubled(estimate)) - doubled(measurement)).square().flatten(1).mean(dim=1)
    return -10 * torch.log10(squared_error)


def headroom(
    prior_image: Tensor, truth: Tensor, operator: MeasurementOperator, border: int, protocol: ProtocolName = "paper"
) -> Tensor:
    """-10 log10(1 - share of the error's energy that A sees), in dB per image (B,): PSNR of the image nearest to w that
    has the true measurement A x_true, over that of w.

    That is what a perfect b adds: its projection removes all of A^+ A (w - x_true), and nothing else. The error is the
    one that the protocol counts, of w clipped to [0, 1] for `standard` and without the border; errors of the border
    that are spread inwards can make it negative there, which it never is over the whole image (border = 0).
    """
    w, x = doubled(prior_image), doubled(truth)
    w = w.clamp(0, 1) if protocol == "standard" else w
    perfect = project_measurement_ball(w, operator(x), operator)
    of_w = psnr(w, x, border, protocol)
    return (psnr(perfect, x, border, protocol) - of_w).masked_fill(of_w == math.inf, 0.0)  # of an image without error


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
        columns = [doubled(figures[name]).reshape(-1) for name in self.names]
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
