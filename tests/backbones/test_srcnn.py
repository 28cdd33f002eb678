"""SRCNN: three convolutions, and a start that is bicubic interpolation."""

import torch
import torch.nn.functional as F
from references import relative_error, uniform

from mcnet_lightning.backbones.srcnn import SRCNN


def test_formula() -> None:
    network, y = SRCNN().double(), uniform(2, 1, 13, 17)
    weights = dict(network.named_parameters())
    expected = y
    for index, padding in ((1, 4), (2, 2), (3, 2)):
        expected = F.conv2d(expected, weights[f"conv{index}.weight"], weights[f"conv{index}.bias"], padding=padding)
        expected = expected.clamp_min(0) if index < 3 else expected
    assert relative_error(network(y), expected) <= 1e-14


def test_size_of_the_published_network() -> None:
    shapes = [tuple(tensor.shape) for tensor in SRCNN().state_dict().values()]
    assert shapes == [(64, 1, 9, 9), (64,), (32, 64, 5, 5), (32,), (1, 32, 5, 5), (1,)]


def test_start_from_interpolation_is_near_its_input() -> None:
    network, y = SRCNN(), torch.rand(1, 1, 32, 32)
    network.start_from_interpolation()
    assert relative_error(network(y), y) < 0.05


def test_half_precision_autocast_keeps_the_levels_of_an_image() -> None:
    """1/255 is lost when an image is rounded to bfloat16 at the door; it must only be rounded inside."""
    network, y = SRCNN(), torch.rand(1, 1, 16, 16)
    network.start_from_interpolation()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(y)
    assert half.dtype == torch.float32
    assert (half - network(y)).abs().max() < 5e-3
