"""Pictures for people: LR, backbone, MCNet and HR side by side, with their errors."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mcnet_lightning.equilibrium.precision import doubled

ERROR_GAIN = 8.0  # errors are shown as 1/2 + gain * (estimate - truth): gray is right
MARGIN = 4
CAPTION = 18


def comparison_picture(measurement: Tensor, prior_image: Tensor, estimate: Tensor, truth: Tensor) -> Tensor:
    """One image's panels in two rows, (1, height, width) in [0, 1]; arguments (1, ., .), captions with PSNR in dB.

    Top: what was measured, backbone, MCNet, truth. Below: the error maps of backbone and MCNet, and what the layer
    changed.
    """
    lr = F.interpolate(measurement[None], size=truth.shape[-2:], mode="nearest")[0]
    blank = torch.ones_like(truth)
    top = [
        ("measured", lr),
        (f"backbone {_psnr(prior_image, truth):.2f} dB", prior_image),
        (f"MCNet {_psnr(estimate, truth):.2f} dB", estimate),
        ("truth", truth),
    ]
    errors = [
        ("", blank),
        (f"backbone error x{ERROR_GAIN:.0f}", 0.5 + ERROR_GAIN * (prior_image - truth)),
        (f"MCNet error x{ERROR_GAIN:.0f}", 0.5 + ERROR_GAIN * (estimate - truth)),
        (f"MCNet - backbone x{ERROR_GAIN:.0f}", 0.5 + ERROR_GAIN * (estimate - prior_image)),
    ]
    rows = [torch.cat([_panel(caption, image) for caption, image in row], dim=2) for row in (top, errors)]
    return torch.cat(rows, dim=1)


def _panel(caption: str, image: Tensor) -> Tensor:
    """An image with a white margin and its caption above."""
    framed = F.pad(image.detach().cpu().float().clamp(0, 1), (MARGIN, MARGIN, CAPTION, MARGIN), value=1.0)
    picture = Image.fromarray((framed[0] * 255).round().byte().numpy())
    ImageDraw.Draw(picture).text((MARGIN, 3), caption, fill=0, font=ImageFont.load_default(size=11))
    return torch.from_numpy(np.array(picture)).float()[None] / 255


def _psnr(image: Tensor, truth: Tensor) -> float:
    return float(-10 * torch.log10(doubled(image - truth).square().mean().clamp_min(1e-20)))
