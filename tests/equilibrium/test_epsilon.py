"""epsilon in its units: the radius that each of them stands for, and the keys that say so."""

import math
from typing import Any

import pytest
import torch
from composing_once import compose
from references import norms, tiny_layer, uniform

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.build import build_epsilon
from mcnet_lightning.equilibrium.epsilon import Epsilon, measured_values
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.model.mcnet import MCNet
from mcnet_lightning.operators import BicubicDownsample, Mask

COMMANDS = ("train", "evaluate", "search_beta", "restore", "certify")
NEEDED = {"restore": ["output=out"], "certify": ["image=a", "measurement=b"]}


@pytest.mark.parametrize(
    ("epsilon", "expected"),
    [
        (Epsilon(0.1), 0.1),
        (Epsilon(0.01, "rms"), 0.01 * 6),
        (Epsilon(0.5, "levels"), 0.5 / 255 * 6),
        (Epsilon(0.002, "noise"), 0.002 * 6),
    ],
)
def test_radius_of_36_measured_values(epsilon: Epsilon, expected: float) -> None:
    b, A = uniform(3, 1, 4, 9), BicubicDownsample(2)
    assert epsilon.radius(36) == pytest.approx(expected, rel=1e-15)
    assert epsilon.radii(b, A).tolist() == pytest.approx([expected] * 3, rel=1e-15)
    assert epsilon.radii(b, A).dtype == torch.float64


def test_a_plain_number_is_an_l2_radius() -> None:
    assert Epsilon.of(0.3) == Epsilon(0.3, "l2")
    assert Epsilon.of(Epsilon(2, "levels")) == Epsilon(2, "levels")


def test_only_what_a_mask_lets_through_was_measured() -> None:
    mask = torch.zeros(4, 5)
    mask[0, :3] = 1
    assert measured_values(uniform(2, 2, 4, 5), Mask(mask)) == [6, 6]
    assert Epsilon(1.0, "rms").radii(uniform(1, 1, 4, 5), Mask(mask)).item() == pytest.approx(math.sqrt(3))


@pytest.mark.parametrize(("value", "unit"), [(-1.0, "l2"), (math.nan, "rms"), (math.inf, "levels"), (0.1, "decibel")])
def test_what_is_no_radius_is_refused(value: float, unit: Any) -> None:
    with pytest.raises(ConfigError):
        Epsilon(value, unit)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("words", "expected", "label"),
    [
        ([], Epsilon(0.0), "epsilon=0"),
        (["epsilon=0"], Epsilon(0.0), "epsilon=0"),
        (["epsilon=0.1"], Epsilon(0.1), "epsilon=0.1"),
        (["epsilon=1"], Epsilon(1.0), "epsilon=1"),
        (["epsilon_rms=0.002"], Epsilon(0.002, "rms"), "epsilon_rms=0.002"),
        (["epsilon_levels=0.5"], Epsilon(0.5, "levels"), "epsilon_levels=0.5"),
        (["epsilon=noise"], Epsilon(0.0, "noise"), "epsilon=noise"),  # how much that is, the problem says
    ],
)
def test_every_command_takes_every_unit(command: str, words: list[str], expected: Epsilon, label: str) -> None:
    epsilon = build_epsilon(compose(command, [*NEEDED.get(command, []), *words]))
    assert (epsilon, epsilon.label) == (expected, label)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            ["epsilon=0.1", "epsilon_rms=0.1"],
            r"epsilon=0\.1 and epsilon_rms=0\.1 are two answers.*\(epsilon=null or epsilon_r",
        ),
        (["epsilon=noise", "epsilon_levels=1"], "epsilon=noise and epsilon_levels=1 are two answers"),
        (["epsilon=0", "epsilon_levels=1"], r"epsilon=0 and epsilon_levels=1 are two answers.*\(epsilon=null or"),
        (["epsilon_rms=0", "epsilon_levels=1"], r"\(epsilon_rms=null or epsilon_levels=null\)"),
        (["epsilon=loud"], "'epsilon' takes a number, at least 0, or noise"),
        (["epsilon_rms=-1"], "'epsilon_rms' takes a number or null, at least 0"),
        (["epsilon_levels=nan"], "'epsilon_levels' takes a number or null, at least 0"),
    ],
)
def test_two_of_them_or_none_of_them_is_one_sentence(command: str, words: list[str], answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        compose(command, [*NEEDED.get(command, []), *words])


def test_model_takes_every_unit() -> None:
    A, b = BicubicDownsample(2), uniform(2, 1, 6, 6)
    model = MCNet(load_backbone("bicubic", 2), tiny_layer(), A)
    estimate = model(b, Epsilon(1.0, "levels")).estimate
    assert norms(A(estimate) - b).tolist() == pytest.approx([6 / 255] * 2, rel=1e-9)
