"""Perturbed LR: reproducible, of the right strength, named in the protocol, and absent by default."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mcnet_lightning.problems.perturbation import Perturbation
from mcnet_lightning.problems.super_resolution import ProtocolName, SuperResolution

LEVEL = 1 / 255


def photograph(seed: int = 0) -> torch.Tensor:
    """A smooth colour image of 8-bit levels, away from black and white."""
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 0.5 + 0.25
    return torch.round(torch.nn.functional.interpolate(coarse, size=(96, 96), mode="bicubic") * 255) / 255


def lr(protocol: ProtocolName = "paper", seed: int = 0, **perturbation: Any) -> torch.Tensor:
    problem = SuperResolution(protocol, 2, perturbation=Perturbation(**perturbation))
    return problem.observe(photograph(), seed).inputs["lr_rgb"]


@pytest.mark.parametrize("protocol", ["paper", "standard"])
@pytest.mark.parametrize("level", [1.0, 5.0])
def test_noise_has_its_standard_deviation(protocol: ProtocolName, level: float) -> None:
    difference = (lr(protocol, noise=level) - lr(protocol)) / LEVEL
    assert float(difference.std()) == pytest.approx(np.hypot(level, 12**-0.5), rel=0.08)
    assert abs(float(difference.mean())) < 0.2


def test_noise_depends_on_seed_and_image_alone() -> None:
    assert torch.equal(lr(noise=2.0, seed=1), lr(noise=2.0, seed=1))
    assert not torch.equal(lr(noise=2.0, seed=1), lr(noise=2.0, seed=2))


def test_jpeg_is_pillows() -> None:
    clean = lr()
    Image.fromarray((clean[0] * 255).round().byte().permute(1, 2, 0).numpy()).save(
        file := io.BytesIO(), "JPEG", quality=75
    )
    decoded = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None] / 255
    assert torch.equal(lr(jpeg=75), decoded)


def test_pillow_is_close_to_the_truncated_operator_and_boundaries_differ_at_the_border_only() -> None:
    assert float((lr(operator="pillow") - lr()).abs().max()) <= 1.01 * LEVEL
    difference = (lr(operator="replicate") - lr()).abs()
    assert float(difference[..., 4:-4, 4:-4].max()) == 0
    assert torch.equal(lr(operator="truncated"), lr())


def test_blur_takes_away_detail() -> None:
    def detail(image: torch.Tensor) -> float:
        return float(image.diff(dim=-1).square().mean())

    torch.manual_seed(0)
    hr = torch.round(torch.rand(1, 3, 64, 64) * 255) / 255
    sharp, blurred = (
        SuperResolution("paper", 2, perturbation=Perturbation(operator=o)).observe(hr).inputs["lr_rgb"]
        for o in (None, "blurred")
    )
    assert detail(blurred) < 0.9 * detail(sharp)


def test_the_protocols_name_says_what_was_perturbed() -> None:
    labels = {
        SuperResolution("paper", 2, perturbation=Perturbation(**words)).label
        for words in (
            {},
            {"noise": 2.0},
            {"noise": 0.5},
            {"jpeg": 90},
            {"operator": "pillow"},
            {"noise": 2.0, "jpeg": 90},
        )
    }
    assert labels == {"paper", "paper+noise2", "paper+noise0.5", "paper+jpeg90", "paper+pillow", "paper+noise2+jpeg90"}


def test_what_is_seen_of_a_perturbed_image_belongs_together() -> None:
    degradation = SuperResolution("standard", 2, perturbation=Perturbation(noise=3.0))
    seen, clean = degradation.observe(photograph()), SuperResolution("standard", 2).observe(photograph())
    assert not torch.equal(seen.inputs["upsampled"], clean.inputs["upsampled"])
    assert torch.equal(seen.truth, clean.truth)
