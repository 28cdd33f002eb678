"""Problems from the command line: their keys, and what goes with them where nothing else is chosen."""

from typing import Any

import pytest

from mcnet_lightning.build import build_backbone, build_problem
from mcnet_lightning.config.composition import composed, composing, without_hydra
from mcnet_lightning.problems.mri import MRI


def built(*words: str) -> tuple[Any, Any, Any]:
    with composing("train"):
        config = without_hydra(composed("train", list(words)))
    problem = build_problem(config)
    return config, problem, build_backbone(config)


@pytest.mark.parametrize(
    ("words", "channels", "data"),
    [
        (["problem=mri"], 2, "cardiac20"),
        (["problem=mri", "problem.real=true"], 1, "cardiac20"),
        (["problem=ct"], 1, "cardiac20"),
        (["problem=deblurring"], 1, "photographs"),
        (["problem=inpainting", "problem.colour=true"], 3, "photographs"),
    ],
)
def test_a_unet_has_as_many_channels_as_the_images(words: list[str], channels: int, data: str) -> None:
    config, problem, backbone = built(*words)
    assert problem.channels == config.backbone.channels == channels
    assert backbone.spec.name == "unet"
    assert config.data.train == config.data.test == [data]
    assert config.epsilon == "noise"
    assert config.scale is None


def test_keys_of_a_problem_are_its_constructors_arguments() -> None:
    _, problem, _ = built("problem=mri", "problem.mask=cartesian", "problem.acceleration=8", "problem.coils=4")
    assert isinstance(problem, MRI)
    assert problem.label == "cartesian8x-0.04-4coils-noise0.005"


def test_the_epsilon_that_acts_is_recorded() -> None:
    """A run that goes on from a checkpoint compares the two: of one made with epsilon=0 nothing has changed."""
    assert built("backbone=bicubic")[0].epsilon == 0
    assert built("backbone=bicubic", "epsilon=0.1")[0].epsilon == 0.1
    assert built("backbone=bicubic", "epsilon_levels=1")[0].epsilon is None
