"""Figures of quality, per image in float64."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mcnet_lightning.equilibrium.precision import doubled
from mcnet_lightning.errors import DataError

WINDOW: dict[str, int] = {"paper": 7, "standard": 11}  # of SSIM, in pixels


def shave(image: Tensor, border: int) -> Tensor:
    """Removes `border` pixels on every side. Raises DataError if nothing would be left."""
    if min(image.shape[-2:]) <= 2 * border:
        raise DataError(
            f"an image of {image.shape[-2]} x {image.shape[-1]} pixels has nothing within the border of {border} "
            "pixels that PSNR leaves out; take it out of the set"
        )
    return image[..., border:-border, border:-border] if border else image


def psnr(estimate: Tensor, truth: Tensor, border: int, protocol: str = "paper") -> Tensor:
    """10 log10(1 / mse) in dB, per image (B,), `border` pixels removed; `standard` clips the estimate to [0, 1]."""
    from torchmetrics.functional.image import peak_signal_noise_ratio  # who only restores need not have it

    estimate = estimate.clamp(0, 1) if protocol == "standard" else estimate
    pairs = zip(doubled(shave(estimate, border)), doubled(shave(truth, border)), strict=True)
    return torch.stack([peak_signal_noise_ratio(x, y, data_range=1.0) for x, y in pairs])


def ssim(estimate: Tensor, truth: Tensor, border: int, protocol: str = "paper") -> Tensor:
    """Structural similarity per image (B,): `paper` as scikit-image's default, `standard` as Wang et al. 2004.

    NaN for images smaller than the window, of which it is not defined.
    """
    estimate = estimate.clamp(0, 1) if protocol == "standard" else estimate
    x, y = doubled(shave(estimate, border)), doubled(shave(truth, border))
    if min(x.shape[-2:]) < WINDOW[protocol]:
        return x.new_full((len(x),), math.nan)
    if protocol == "paper":
        return ssim_uniform(x, y, WINDOW[protocol])
    from kornia.metrics import ssim as gaussian_ssim

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
