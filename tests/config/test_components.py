"""Composing takes most of the time of `--help`: it is done once."""

import pytest
from hydra import compose

from mcnet_lightning.config import components, composition
from mcnet_lightning.config.checking import compose_config


@pytest.mark.parametrize("words", [[], ["problem=inpainting"]])
def test_a_backbone_that_goes_with_the_problem_is_foreseen(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    calls = list[list[str]]()

    def counted(name: str, overrides: list[str], **options: bool) -> object:
        calls.append(overrides)
        return compose(name, overrides, **options)

    monkeypatch.setattr(composition, "compose", counted)
    compose_config("restore", words)  # knows the components of this package
    for option, target in components.registered()["backbone"].items():
        components._store("backbone", option, target)  # as they are before any is used
    calls.clear()
    compose_config("restore", words)
    assert len(calls) == len({tuple(call) for call in calls})
