"""Damaged LR for training: what is drawn is in range and follows the seed, and only what the network sees changes."""

import pytest
import torch

from mcnet_lightning.config.training import Damage
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.problems import Observation
from mcnet_lightning.training.damage import check_damage, damaged


def observation() -> Observation:
    lr = torch.nn.functional.interpolate(
        torch.rand(3, 3, 6, 6, generator=torch.Generator().manual_seed(0)), scale_factor=4
    )
    truth = torch.zeros(3, 1, 48, 48)
    inputs = {"start": truth, "lr_rgb": lr}
    return Observation(truth, torch.zeros(3, 1, 24, 24), BicubicDownsample(2), inputs)


def test_the_network_alone_sees_the_damage() -> None:
    seen, generator = observation(), torch.Generator().manual_seed(1)
    made = damaged(seen, Damage(jpeg=[30, 95], noise=[0.0, 15.0]), generator)
    assert made.truth is seen.truth
    assert made.measurement is seen.measurement
    assert made.inputs["start"] is seen.inputs["start"]
    change = (made.inputs["lr_rgb"] - seen.inputs["lr_rgb"]).square().mean((1, 2, 3)).sqrt() * 255
    assert bool((change > 1).all())
    assert len({round(float(value), 3) for value in change}) == 3
    again = damaged(seen, Damage(jpeg=[30, 95], noise=[0.0, 15.0]), torch.Generator().manual_seed(1))
    torch.testing.assert_close(again.inputs["lr_rgb"], made.inputs["lr_rgb"], rtol=0, atol=0)


def test_noise_is_as_strong_as_drawn_and_nothing_is_the_default() -> None:
    seen = observation()
    assert damaged(seen, Damage(), torch.Generator()) is seen
    grey = Observation(seen.truth, seen.measurement, seen.operator, {"lr_rgb": torch.full((1, 3, 64, 64), 0.5)})
    made = damaged(grey, Damage(noise=[10.0, 10.0]), torch.Generator().manual_seed(0)).inputs["lr_rgb"]
    assert float((made - 0.5).std() * 255) == pytest.approx(10, rel=0.05)


def test_each_damage_happens_to_its_share_of_the_patches() -> None:
    grey = torch.full((400, 3, 8, 8), 0.5)
    seen = Observation(grey, grey, BicubicDownsample(2), {"lr_rgb": grey})
    made = damaged(seen, Damage(noise=[10.0, 20.0], share=0.4), torch.Generator().manual_seed(0)).inputs["lr_rgb"]
    assert sum(bool((image != 0.5).any()) for image in made) / 400 == pytest.approx(0.4, abs=0.08)


@pytest.mark.parametrize(
    ("damage", "kind", "answer"),
    [
        (Damage(jpeg=[95, 30]), "lr_rgb", "damage.jpeg=.*two ends"),
        (Damage(noise=[1.0]), "lr_rgb", "damage.noise=.*two ends"),
        (Damage(jpeg=[30, 95]), "upsampled", "networks that take LR in colour"),
    ],
)
def test_what_cannot_be_damaged_is_refused(damage: Damage, kind: str, answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        check_damage(damage, kind)
