"""ISTA-Net+: the published networks reach their published figures through our operators."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from references import relative_error, uniform
from torch import Tensor

from mcnet_lightning.backbones.istanet import ISTANetPlus
from mcnet_lightning.equilibrium import project_measurement_ball
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files.arrays import read_array
from mcnet_lightning.files.weights import read_weights
from mcnet_lightning.operators import FourierSampling, Mask, MeasurementOperator, RealFourierSampling
from mcnet_lightning.operators.sampling import read_mask

BRAINS = {10: (30.70, 30.74), 30: (37.48, 37.49)}  # dB, of the first two of fifty, alone and projected


@dataclass
class Observed:
    truth: Tensor
    measurement: Tensor
    operator: MeasurementOperator


def published(shared: Path, percent: int) -> ISTANetPlus:
    file = read_weights(shared / f"weights/ista_net_plus/ratio_{percent}.pkl").below("fcs.0.conv_D")
    network = ISTANetPlus(**ISTANetPlus.hyperparameters(file.tensors))
    file.load_into(network)
    return network.eval()


def brains(shared: Path, count: int) -> Tensor:
    paths = sorted((shared / "data/mri/ista_brain50").glob("*.png"))[:count]
    return torch.stack([torch.from_numpy(read_array(path)).float() for path in paths]).unsqueeze(1)


def psnr(estimate: Tensor, truth: Tensor) -> float:
    return float((-10 * (estimate.clamp(0, 1) - truth).square().mean(dim=(1, 2, 3)).log10()).mean())


@torch.no_grad()
def figures(shared: Path, percent: int, count: int) -> tuple[float, float]:
    """Mean PSNR of the network, and of its projection."""
    mask, _ = read_mask(str(shared / f"data/mri/ista_brain50/masks/mask_{percent}.mat"))
    operator = RealFourierSampling(mask)
    network = published(shared, percent)
    found = []
    for truth in brains(shared, count).split(1):
        observed = Observed(truth, operator(truth), operator)
        w = network(observed)
        x = project_measurement_ball(w, observed.measurement, operator)
        found.append((psnr(w, truth), psnr(x, truth)))
    means = torch.tensor(found).mean(dim=0)
    return float(means[0]), float(means[1])


@pytest.mark.parametrize("percent", [10, 30])
def test_the_published_networks_restore_the_first_brains(shared: Path, percent: int) -> None:
    assert figures(shared, percent, 2) == pytest.approx(BRAINS[percent], abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("percent", "alone", "projected"),
    [(10, 34.63, 34.71), (20, 38.70, 38.71), (30, 40.97, 40.99), (40, 42.65, 42.66)],
)
def test_the_published_figures_on_fifty_brains(shared: Path, percent: int, alone: float, projected: float) -> None:
    assert figures(shared, percent, 50) == pytest.approx((alone, projected), abs=0.05)


def test_complex_images_are_two_of_a_network_of_one_channel() -> None:
    torch.manual_seed(0)
    network = ISTANetPlus(phases=2).double()
    mask = Mask(torch.ones(12, 12, dtype=torch.float64))
    image = uniform(2, 2, 12, 12)
    together = network(Observed(image, mask(image), mask))
    apart = [network(Observed(part, mask(part), mask)) for part in image.split(1, dim=1)]
    assert relative_error(together, torch.cat(apart, dim=1)) <= 1e-12


def test_it_takes_any_operator_and_as_many_channels_as_it_was_made_for() -> None:
    network = ISTANetPlus(phases=1, channels=2).double()
    operator = FourierSampling((torch.rand(12, 12) > 0.5).double())
    image = uniform(1, 2, 12, 12)
    assert network(Observed(image, operator(image), operator)).shape == image.shape
    with pytest.raises(ConfigError, match="2 channels"):
        network(Observed(image[:, :1], image[:, :1], Mask(torch.ones(12, 12))))


def test_a_file_tells_the_network() -> None:
    network = ISTANetPlus(phases=3, channels=2)
    assert ISTANetPlus.hyperparameters(network.state_dict()) == {"phases": 3, "channels": 2}
