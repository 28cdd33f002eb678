"""TV and wavelet sparsity: transposes, tight frames, minimisers that keep their constraint."""

from typing import Any

import pytest
import torch
from references import norms, relative_error, uniform

from mcnet_lightning.equilibrium import MeasurementBall
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.methods import TV, TVTV, Wavelet
from mcnet_lightning.operators import Mask

SHAPE = (2, 2, 12, 9)  # two complex images
RADII = torch.tensor([0.0, 0.3], dtype=torch.float64)


def test_wavelet_details_and_their_transpose() -> None:
    wavelet, image = Wavelet(levels=3), uniform(*SHAPE)
    details = wavelet.differences(image)
    other = torch.randn(details.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert relative_error((details * other).sum(), (image * wavelet.adjoint(other)).sum()) <= 1e-13
    assert float(norms(details).max()) <= float(norms(image).max())  # details of a Parseval frame
    assert float(wavelet.differences(torch.ones(1, 1, 8, 8)).abs().max()) == 0


@pytest.mark.parametrize("method", [TV(tolerance=2e-3, max_steps=5000), Wavelet(tolerance=2e-3, max_steps=5000)])
def test_the_minimiser_is_consistent_and_no_feasible_neighbour_is_sparser(method: TV | Wavelet) -> None:
    truth = uniform(*SHAPE)
    mask = (torch.rand(2, 1, *SHAPE[2:], generator=torch.Generator().manual_seed(4)) > 0.4).double()
    ball = MeasurementBall(mask * truth, Mask(mask), RADII)
    found, stats = method.solve(mask * truth, ball)
    assert stats.converged.all()
    assert (norms(mask * (found - truth)) <= RADII * (1 + 1e-9) + 1e-12).all()
    best = method.objective(found, found * 0)
    for seed in range(5):
        step = torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        neighbour = ball.project(found + 0.05 * step)
        assert (method.objective(neighbour, found * 0) >= best * (1 - 2e-3)).all()


def test_tv_is_tvtv_without_its_prior_image() -> None:
    truth = uniform(1, 1, 8, 10)
    mask = torch.rand(8, 10, generator=torch.Generator().manual_seed(5)).round().double()
    ball = MeasurementBall(mask * truth, Mask(mask))
    options: dict[str, Any] = {"tolerance": 1e-9, "max_steps": 100}
    tv, _ = TV(**options).solve(mask * truth, ball)
    tvtv, _ = TVTV(prior_weight=0.0, **options).solve(mask * truth, ball)
    assert torch.equal(tv, tvtv)


def test_levels_below_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="levels=0"):
        Wavelet(levels=0)
