"""NaN in a training step is named for what it is: a training that diverged, or a solve that could not be."""

from typing import Any

import pytest
import torch
from references import tiny_layer, uniform

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.config.training import Optimiser
from mcnet_lightning.equilibrium import Outcome, SolveStats
from mcnet_lightning.errors import ConvergenceError
from mcnet_lightning.model.mcnet import MCNet
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.problems import Observation
from mcnet_lightning.problems.super_resolution import SuperResolution
from mcnet_lightning.training.layer_training import LayerTraining

A = BicubicDownsample(2)


def training() -> LayerTraining:
    return LayerTraining(
        MCNet(load_backbone("bicubic", 2), tiny_layer(), A), SuperResolution("paper", 2), 0.0, Optimiser(), {}
    )


def batch(prior: torch.Tensor) -> dict[str, Any]:
    seen = Observation(uniform(2, 1, 8, 8), uniform(2, 1, 4, 4), A, {"start": prior})
    return {"prior_image": prior, "observation": seen, "index": torch.arange(2)}


def test_weights_of_nan_are_a_training_that_diverged() -> None:
    module = training()
    next(module.model.layer.denoiser.parameters()).data.fill_(torch.nan)
    module.settings.warm_start = False
    with pytest.raises(ConvergenceError, match=r"lower optimiser\.learning_rate"):
        module.training_step(batch(uniform(2, 1, 8, 8)), 0)


def test_an_image_of_nan_is_not_the_learning_rate_s_fault() -> None:
    with pytest.raises(ConvergenceError, match="NON_FINITE") as raised:
        training().training_step(batch(torch.full((2, 1, 8, 8), torch.nan).double()), 0)
    assert "learning_rate" not in str(raised.value)


def test_patches_that_miss_their_epsilon_are_counted() -> None:
    one = torch.ones(4, dtype=torch.float64)
    ended = torch.tensor([Outcome.CONVERGED, Outcome.CONVERGED, Outcome.INEXACT, Outcome.INCONSISTENT])
    stats = SolveStats(torch.tensor([3] * 4), one, ended, one[None])
    agreement, radii = torch.tensor([0.1, 0.2, 0.0, 0.0]), torch.full((4,), 0.1)
    missed = LayerTraining._not_met(agreement, radii, torch.zeros(4, 1, 4, 4), stats)
    assert missed.tolist() == [0, 1, 1, 1]
