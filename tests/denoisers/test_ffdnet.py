"""FFDNet from published files: a denoiser at the level it is told, for images of any size and number of channels."""

from pathlib import Path

import pytest
import torch
from references import relative_error

from mcnet_lightning.build import build_layer
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.denoisers.ffdnet import INTO, OUT, FFDNet, read_ffdnet
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.errors import ConfigError, WeightsError
from mcnet_lightning.files.weights import read_weights
from mcnet_lightning.imaging import read_rgb
from mcnet_lightning.methods import load_pnp_denoiser
from mcnet_lightning.model.layer_files import load_layer
from mcnet_lightning.operators import Mask


def small(of_noise: bool, level: float = 0.1) -> FFDNet:
    torch.manual_seed(0)
    shapes = [(8, INTO), (8, 8), (OUT, 8)]
    return FFDNet(
        [0.2 * torch.randn(o, i, 3, 3) for o, i in shapes], [torch.zeros(o) for o, _ in shapes], level, of_noise
    )


@torch.no_grad()
@pytest.mark.parametrize("of_noise", [True, False])
def test_channels_and_samples_do_not_see_each_other(of_noise: bool) -> None:
    network, image = small(of_noise), torch.rand(2, 2, 13, 10)
    whole = network(image)
    assert whole.shape == image.shape
    assert relative_error(network(image[1:, :1]), whole[1:, :1]) <= 1e-6
    assert not torch.equal(small(of_noise, 0.2)(image), whole)


def test_a_published_file_denoises_at_its_level(shared: Path) -> None:
    """At 25 of 255 it is within 0.1 dB of the DnCNN that was trained for that level alone, as is reported."""
    gray = read_rgb(shared / "data/natural/BSD68/test001.png").mean(0)[None, None]
    noisy = gray + 25 / 255 * torch.randn(gray.shape, generator=torch.Generator().manual_seed(0))
    path = shared / "weights/ffdnet/ffdnet_gray.pth"
    with torch.no_grad():
        made = [load_pnp_denoiser(path, level / 255)(noisy) for level in (25, 5)]
        made.append(load_pnp_denoiser(shared / "weights/dncnn/dncnn_gray_sigma25.pth")(noisy))
    matched, weak, of_one_level = (float(-10 * torch.log10((x - gray).square().mean())) for x in made)
    assert matched == pytest.approx(of_one_level, abs=0.1)
    assert matched > weak + 2


def published(path: Path, level: float) -> FFDNet:
    """A file in KAIR's format, and what it holds."""
    network = small(False, level)
    tensors = {f"model.{2 * i}.weight": weight.detach() for i, weight in enumerate(network.weights)}
    tensors |= {f"model.{2 * i}.bias": bias.detach() for i, bias in enumerate(network.biases)}
    torch.save(tensors, path)
    return network


@torch.no_grad()
def test_it_is_the_prior_of_a_layer_as_it_is_of_plug_and_play(tmp_path: Path) -> None:
    network = published(tmp_path / "a.pth", 0.2)
    layer = load_layer(tmp_path / "a.pth", scale="deblurring", noise_level=0.2).eval()
    image, operator = torch.rand(2, 1, 12, 10), Mask((torch.rand(12, 10) > 0.5).float())
    assert torch.equal(layer.denoiser(image), network(image))
    assert not torch.equal(load_layer(tmp_path / "a.pth").denoiser(image), network(image))
    expected = EquilibriumLayer(network, prior_weight=0.05)(image, operator(image), operator, 0.1)
    assert torch.equal(layer(image, operator(image), operator, 0.1).estimate, expected.estimate)
    assert (operator(expected.estimate) - operator(image)).flatten(1).norm(dim=1).max() <= 0.1001


def test_no_command_trains_on_it(tmp_path: Path) -> None:
    published(tmp_path / "a.pth", 0.1)
    words = ["problem=deblurring", f"layer.weights={tmp_path / 'a.pth'}", "layer.noise_level=0.3"]
    layer = build_layer(compose_config("evaluate", [*words, "beta=0.2"]))
    assert isinstance(layer.denoiser, FFDNet)
    assert layer.denoiser.noise_level == 0.3
    assert layer.prior_weight.item() == pytest.approx(0.2)
    for denoiser in (words[1], "layer.weights=bundled:dncnn17"):
        with pytest.raises(ConfigError, match=r"is a denoiser.*denoiser\.weights="):
            build_layer(compose_config("train", [words[0], denoiser]))


def test_a_level_that_is_no_share_and_a_chain_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"0\.06 for 15/255"):
        small(True, 25.0)
    torch.save(
        {"model.0.weight": torch.zeros(8, INTO, 3, 3), "model.2.weight": torch.zeros(3, 8, 3, 3)}, tmp_path / "a.pth"
    )
    with pytest.raises(WeightsError, match="end in 3 channels"):
        read_ffdnet(read_weights(tmp_path / "a.pth"), 0.1)
