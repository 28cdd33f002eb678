"""Published DnCNN files: read as their authors' networks compute, refused in one sentence where they are not whole."""

from pathlib import Path

import pytest
import torch
from references import relative_error
from torch import Tensor, nn

from mcnet_lightning.data import load_images
from mcnet_lightning.denoisers import BiasedDnCNN, is_published_dncnn, read_published_dncnn
from mcnet_lightning.equilibrium import AndersonSolver, EquilibriumLayer
from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files.weights import WeightFile, read_weights
from mcnet_lightning.imaging import rgb_to_luma
from mcnet_lightning.methods import load_pnp_denoiser
from mcnet_lightning.operators import BicubicDownsample

CHANNELS = 6


def convolution(into: int, out: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(into, out, 3, padding=1, bias=bias)


def with_batch_norm() -> nn.Sequential:
    """As published by Ryu et al.: no biases, batch norm after every hidden convolution but the first."""
    norm = nn.BatchNorm2d(CHANNELS)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    for tensor in (norm.weight.data, norm.running_var):
        tensor.uniform_(0.2, 2.0)
    for tensor in (norm.bias.data, norm.running_mean):
        tensor.uniform_(-0.5, 0.5)
    hidden = [convolution(CHANNELS, CHANNELS, False), norm, nn.ReLU()]
    return nn.Sequential(convolution(1, CHANNELS, False), nn.ReLU(), *hidden, convolution(CHANNELS, 1, False)).eval()


def with_biases() -> nn.Sequential:
    """As published in KAIR."""
    hidden = [convolution(CHANNELS, CHANNELS, True), nn.ReLU()]
    return nn.Sequential(convolution(1, CHANNELS, True), nn.ReLU(), *hidden, convolution(CHANNELS, 1, True)).eval()


def file(network: nn.Sequential, prefix: str, changes: dict[str, Tensor | None] | None = None) -> WeightFile:
    """The network's tensors under the prefix; `changes` replaces some, or with None leaves them out."""
    tensors = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    tensors = {name: tensor for name, tensor in {**tensors, **(changes or {})}.items() if tensor is not None}
    return WeightFile(Path("dncnn.pth"), "", tensors, {})


@pytest.mark.parametrize(
    ("network", "prefix"),
    [(with_batch_norm, "module.dncnn."), (with_batch_norm, "dncnn."), (with_biases, "model.")],
)
@torch.no_grad()
def test_equals_the_network_of_its_authors(network: type, prefix: str) -> None:
    reference, image = network(), torch.rand(2, 1, 13, 10)
    read = file(reference, prefix)
    assert is_published_dncnn(read)
    assert torch.allclose(read_published_dncnn(read)(image), image - reference(image), atol=1e-6)


@torch.no_grad()
def test_half_precision_is_near_and_serves_a_layer() -> None:
    denoiser, image = read_published_dncnn(file(with_biases(), "model.")), torch.rand(1, 1, 16, 16)
    noise = image - denoiser(image)
    assert relative_error(image - denoiser.rounded(torch.bfloat16)(image), noise) <= 1e-2
    layer = EquilibriumLayer(denoiser, prior_weight=1.0, solver=AndersonSolver(half_evaluations=True)).eval()
    result = layer(image, BicubicDownsample(2)(image), BicubicDownsample(2))
    assert result.stats.converged.all()


def test_increments_of_spectral_normalisation_are_passed_over() -> None:
    weight = torch.rand(CHANNELS, 1, 3, 3)
    read = file(with_batch_norm(), "module.dncnn.", {"module.dncnn.0.weight_orig": weight})
    assert isinstance(read_published_dncnn(read), BiasedDnCNN)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"3.running_var": None}, r"3\.running_var is missing"),
        ({"3.gamma": torch.ones(CHANNELS)}, r"3\.gamma is unexpected"),
        ({"epoch": torch.ones(1)}, "epoch is unexpected"),
        ({"3.bias": torch.ones(2)}, r"3\.bias has shape \(2,\) after 6 channels"),
        ({"3.running_var": -torch.ones(CHANNELS)}, "running_var is negative"),
        ({"2.weight": torch.full((CHANNELS, CHANNELS, 3, 3), torch.nan)}, r"2\.weight holds NaN or Inf"),
        ({"2.weight": torch.ones(CHANNELS, 5, 3, 3)}, "convolution 1 has shape .* where 6 channels come in"),
        ({"2.weight": torch.ones(CHANNELS, CHANNELS, 2, 2)}, "convolution 1 has shape"),
        ({"0.weight": torch.ones(CHANNELS, 3, 3, 3)}, "convolution 0 has shape .* where 1 channels come in"),
        ({"5.weight": torch.ones(3, CHANNELS, 3, 3)}, "3 convolutions end in 3 channels"),
        ({"5.weight": None}, "2 convolutions end in 6 channels"),
        ({"0.weight": None}, "no published DnCNN"),
    ],
)
def test_what_is_no_whole_network_is_refused_in_one_sentence(changes: dict[str, Tensor | None], message: str) -> None:
    prefix = "module.dncnn."
    changed = {name if name == "epoch" else prefix + name: tensor for name, tensor in changes.items()}
    with pytest.raises(WeightsError, match=message) as error:
        read_published_dncnn(file(with_batch_norm(), prefix, changed))
    assert "\n" not in str(error.value)
    assert "dncnn.pth" in str(error.value)


def test_networks_without_biases_are_left_to_the_layers_own_format() -> None:
    bare = nn.Sequential(convolution(1, 4, False), nn.ReLU(), convolution(4, 1, False))
    assert not is_published_dncnn(file(bare, "dncnn."))


@pytest.mark.parametrize(
    ("name", "level"),
    [("pnp_dncnn/dncnn_gray_sigma5", 5), ("pnp_dncnn/dncnn_gray_sigma15", 15), ("dncnn/dncnn_gray_sigma25", 25)],
)
@torch.no_grad()
def test_published_networks_remove_their_noise(shared: Path, name: str, level: int) -> None:
    path = shared / "weights" / f"{name}.pth"
    if not path.is_file():
        pytest.skip(f"no {path.name} in the shared weights")
    denoiser = load_pnp_denoiser(path)
    assert len(read_weights(path).sha256) == 64
    clean = rgb_to_luma(load_images("photographs", "test")[0].rgb[None, :, 100:228, 100:228])
    noisy = clean + level / 255 * torch.randn_like(clean)
    before, after = ((image - clean).square().mean() for image in (noisy, denoiser(noisy)))
    assert 10 * torch.log10(before / after) > 2.5
