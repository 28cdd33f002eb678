"""RCAN: the authors' tensor layout, equal to an independent implementation, in both directions."""

import pytest
import torch
from references import relative_error

from mcnet_lightning.backbones.rcan import RCAN

SMALL = {"groups": 2, "blocks": 3, "features": 16, "reduction": 4}


def random_rcan(scale: int) -> RCAN:
    network = RCAN(scale, **SMALL)
    with torch.no_grad():
        for parameter in network.parameters():  # the mean shift too: a file may hold any
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_equals_spandrels_rcan_in_both_directions(scale: int) -> None:
    spandrel = pytest.importorskip("spandrel")
    ours = random_rcan(scale)
    theirs = spandrel.ModelLoader(device="cpu").load_from_state_dict(ours.state_dict()).model
    image = torch.rand(2, 3, 13, 10)
    expected = theirs(image.clone())
    assert relative_error(ours(image), expected) <= 1e-5
    again = RCAN(scale, **SMALL).eval()
    again.load_state_dict(theirs.state_dict())
    assert relative_error(again(image), expected) <= 1e-5


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("hyperparameters", [SMALL, {"groups": 1, "blocks": 1, "features": 8, "reduction": 2}])
def test_hyperparameters_are_read_off_the_tensors(scale: int, hyperparameters: dict[str, int]) -> None:
    tensors = RCAN(scale, **hyperparameters).state_dict()
    assert RCAN.hyperparameters(tensors) == {"scale": scale, **hyperparameters}


def test_published_size() -> None:
    """15.4 million parameters at x2 (Zhang et al., ECCV 2018: about 16 M), the published names."""
    with torch.device("meta"):
        network = RCAN(2)
    assert sum(parameter.numel() for parameter in network.parameters()) == 15_444_667
    assert {"head.0.weight", "body.9.body.19.body.3.conv_du.2.bias", "body.10.weight", "tail.0.0.bias"} <= set(
        network.state_dict()
    )


def test_mean_shift_does_not_train() -> None:
    trained = {name for name, parameter in RCAN(2, **SMALL).named_parameters() if parameter.requires_grad}
    assert not any("mean" in name for name in trained)


def test_half_precision_autocast_keeps_the_levels_of_an_image() -> None:
    network, image = RCAN(2, **SMALL), torch.rand(1, 3, 16, 16)
    network.start_from_interpolation()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(image)
    assert half.dtype == torch.float32
    assert (half - network(image)).abs().max() < 5e-3
