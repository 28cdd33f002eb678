"""The start of RCAN and RDN: a smooth image, enlarged."""

import pytest
import torch
from references import relative_error

from mcnet_lightning.backbones import untrained_backbone
from mcnet_lightning.backbones.rcan import RCAN
from mcnet_lightning.backbones.rdn import RDN
from mcnet_lightning.backbones.subpixel import start_from_interpolation, subpixel_upsampler


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["rcan", "rdn"])
def test_training_starts_near_an_enlarged_image(name: str, scale: int) -> None:
    y, x = torch.meshgrid(torch.linspace(0, 3, 24 * scale), torch.linspace(0, 2, 20 * scale), indexing="ij")
    large = torch.stack([0.5 + 0.3 * torch.sin(x + k) * torch.cos(y) for k in range(3)])[None]
    small = torch.nn.functional.avg_pool2d(large, scale)
    network, _ = untrained_backbone(name, scale)
    assert isinstance(network, RCAN | RDN)
    network.start_from_interpolation()
    inner = (..., slice(3 * scale, -3 * scale), slice(3 * scale, -3 * scale))  # zero padding darkens the rim
    assert relative_error(network(small)[inner], large[inner]) < 0.1  # the rest is random weights


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_quadratics_are_enlarged_exactly(scale: int) -> None:
    """Three Lagrange taps reproduce parabolas; the sub-pixels of x sit at x + (k + 1/2)/s - 1/2."""
    colours, features = 2, 4
    head = torch.nn.Conv2d(colours, features, 3, padding=1)
    trunk_end = torch.nn.Conv2d(features, features, 3, padding=1)
    output = torch.nn.Conv2d(features, colours, 3, padding=1)
    upsampler = subpixel_upsampler(features, scale)
    start_from_interpolation(head, trunk_end, upsampler, output)

    def parabola(size: int, step: float) -> torch.Tensor:
        t = (torch.arange(size) + 0.5) * step
        return (0.01 * t**2 - 0.1 * t)[:, None] + (0.02 * t**2 + 0.03 * t)[None]

    enlarged = upsampler(head(parabola(16, 1.0).expand(1, colours, 16, 16)))[:, :colours]
    expected = parabola(16 * scale, 1 / scale)
    border = 4 * scale
    assert torch.allclose(
        enlarged[0, 0, border:-border, border:-border], expected[border:-border, border:-border], atol=1e-5
    )
