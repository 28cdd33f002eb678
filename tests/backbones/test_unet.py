"""The U-Net: fastMRI's names, any size, and a start at the identity."""

import pytest
import torch
from references import relative_error

from mcnet_lightning.backbones.unet import UNet
from mcnet_lightning.errors import ConfigError, WeightsError


def fastmri_shapes(channels: int, chans: int, pools: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of `fastmri.models.Unet`'s state dict, written down from its code."""
    shapes: dict[str, tuple[int, ...]] = {}

    def block(name: str, before: int, after: int) -> None:
        shapes[f"{name}.layers.0.weight"] = (after, before, 3, 3)
        shapes[f"{name}.layers.4.weight"] = (after, after, 3, 3)

    block("down_sample_layers.0", channels, chans)
    width = chans
    for level in range(1, pools):
        block(f"down_sample_layers.{level}", width, 2 * width)
        width *= 2
    block("conv", width, 2 * width)
    for level in range(pools):
        shapes[f"up_transpose_conv.{level}.layers.0.weight"] = (2 * width, width, 2, 2)
        last = level == pools - 1
        block(f"up_conv.{level}.0" if last else f"up_conv.{level}", 2 * width, width)
        width //= 2
    shapes[f"up_conv.{pools - 1}.1.weight"] = (channels, chans, 1, 1)
    shapes[f"up_conv.{pools - 1}.1.bias"] = (channels,)
    return shapes


@pytest.mark.parametrize(("channels", "chans", "pools"), [(1, 32, 4), (2, 8, 3), (3, 4, 1)])
def test_names_and_shapes_are_fastmris(channels: int, chans: int, pools: int) -> None:
    with torch.device("meta"):
        network = UNet(channels, chans, pools, residual=False)
    found = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert found == fastmri_shapes(channels, chans, pools)


def test_half_a_million_parameters_by_default() -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in UNet().parameters()) == pytest.approx(0.5e6, rel=0.1)


@pytest.mark.parametrize("residual", [True, False])
def test_a_file_tells_the_network(residual: bool) -> None:
    network = UNet(1, 4, 2, residual)
    expected = {"channels": 1, "chans": 4, "pools": 2, "residual": residual}
    assert UNet.hyperparameters(network.state_dict()) == expected
    with pytest.raises(WeightsError, match="down_sample_layers"):
        UNet.hyperparameters({"conv1.weight": torch.ones(3)})


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (8, 30)])
def test_it_starts_at_the_identity_for_any_size(size: tuple[int, int]) -> None:
    image = torch.randn(2, 2, *size)
    assert torch.equal(UNet(2, 4, 3)(image), image)


def test_levels_of_the_image_do_not_matter_and_samples_do_not_meet() -> None:
    network = UNet(1, 4, 2, residual=False).double().eval()
    image = torch.rand(2, 1, 12, 12, dtype=torch.float64)
    assert relative_error(network(3 * image + 1), 3 * network(image) + 1) <= 1e-5
    assert relative_error(network(image)[:1], network(image[:1])) <= 1e-12


def test_it_trains_from_its_start() -> None:
    network = UNet(1, 4, 2)
    image, truth = torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(8):
        loss = (network(image) - truth).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_images_that_are_too_small_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 8 pixels"):
        UNet()(torch.rand(1, 2, 7, 30))
