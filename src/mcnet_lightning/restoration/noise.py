"""What a network makes of a noisy measurement, a JPEG above all, without sharpening its noise.

Networks that were trained on clean LR take the errors of compression for detail: SRCNN x2 of a JPEG of quality 60 is as
good as bicubic interpolation, of quality 30 worse. They see the measurement after the bundled denoiser here, and their
picture is mixed with what they make of the measurement itself or, where there is more noise, with interpolation.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mcnet_lightning.equilibrium.epsilon import LEVELS

NOISY, MEDIUM, HEAVY = 1.0, 4.0, 8.5  # grey levels of Y; a measurement with less than the first is taken as it is
BAND, MARGIN = 256, 8  # rows that are denoised at a time, and those that the denoiser sees beyond them


def is_noisy(noise: float) -> bool:
    """noise: standard deviation for values in [0, 1]."""
    return noise * LEVELS >= NOISY


def robust_luma(
    y: Tensor, noise: float, network: Callable[[Tensor], Tensor], denoiser: nn.Module, plain: Tensor
) -> Tensor:
    """Y of the picture, (1, H, W), that a network makes of noisy Y, (1, h, w).

    network: from such a Y to Y of its picture. plain: interpolated Y. Weights were found on eight photographs (x2, JPEG
    of quality 30 to 95 and noise of 5 and 15 levels), so that none of them becomes worse than `plain`.
    """
    once, levels = denoised(y, denoiser), noise * LEVELS
    if levels < MEDIUM:
        return (network(y) + network(once)) / 2
    if levels < HEAVY:
        return (2 * network(once) + plain) / 3
    return (network(denoised(once, denoiser)) + plain) / 2


@torch.no_grad()
def denoised(y: Tensor, denoiser: nn.Module) -> Tensor:
    """(1, h, w) in bands of rows, so that memory does not grow with the picture."""
    rows, made = y.shape[-2], torch.empty_like(y)
    device = next(denoiser.parameters()).device
    for top in range(0, rows, BAND):
        first, bottom = max(top - MARGIN, 0), min(top + BAND, rows)
        seen = y[None, :, first : bottom + MARGIN].to(device, torch.float32)
        made[:, top:bottom] = denoiser(seen)[0, :, top - first : bottom - first].to(y)
    return made
