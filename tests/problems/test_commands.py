"""Problems at the command line: what goes with each, and keys that one of them does not have."""

from pathlib import Path

import pytest
from composing_once import compose

from mcnet_lightning.errors import ConfigError

COMMANDS = ("train", "evaluate", "search_beta", "pretrain_backbone", "pretrain_denoiser")
PROBLEMS = ("super_resolution", "deblurring", "inpainting", "mri", "ct")


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_every_problem_with_what_usually_goes_with_it(command: str, problem: str) -> None:
    config = compose(command, [f"problem={problem}"])
    assert config.data.train
    if "backbone" in config:
        assert config.backbone.name == ("srcnn" if problem == "super_resolution" else "unet")


def test_what_is_chosen_stays_chosen() -> None:
    config = compose("train", ["backbone=istanet", "problem=mri", "data=siat", "method=[tv,mcnet]"])
    assert (config.backbone.name, list(config.data.train)) == ("istanet", ["siat"])
    assert list(config.method) == ["tv", "mcnet"]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            "problem=mri scale=3",
            "scale=3: problem=mri has no 'scale'; leave it out, or choose problem=super_resolution",
        ),
        ("protocol=standard problem=ct", "problem=ct has no 'protocol'"),
        ("problem=mri protocol.quantise=false", "problem=mri has no 'protocol'"),
        ("problem=deblurring perturbation.noise=2", "problem=deblurring has no 'perturbation'"),
        ("problem=mri operator=bicubic", "problem=mri has no 'operator'; leave it out"),
        ("problem=mri data.patch_size=32", "problem=mri trains on whole images; leave data.patch_size out"),
        ("problem=super_resolution problem.noise=2", "problem=super_resolution has no key 'noise'"),
        ("problem=mir", "did you mean 'mri'"),
        ("problem=mri problem.rate=0", "'problem.rate' takes a number, above 0"),
        ("method=[bicubic,tvtw]", "did you mean 'tvtv'"),
    ],
)
def test_a_key_that_a_problem_does_not_have_is_answered(words: str, answer: str) -> None:
    with pytest.raises(ConfigError) as raised:
        compose("evaluate", words.split())
    assert answer in str(raised.value)


def test_measured_pairs_are_of_super_resolution(tmp_path: Path) -> None:
    from mcnet_lightning.build import build_data, build_problem

    config = compose("evaluate", ["problem=mri", f"data.lr={tmp_path}"])
    with pytest.raises(ConfigError, match=r"data\.lr=.* holds low-resolution pictures"):
        build_data(config, build_problem(config))
    assert config.scale is None
