"""What a checkpoint and the loggers have of the settings."""

import pytest

from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.training.fit import plain


@pytest.mark.parametrize(
    ("words", "expected"),
    [([], 0.0), (["epsilon=0"], 0), (["epsilon=noise"], "noise"), (["epsilon_levels=0.5"], None)],
)
def test_an_epsilon_that_nobody_gave_is_recorded_as_0(words: list[str], expected: float | str | None) -> None:
    assert plain(compose_config("train", words))["epsilon"] == expected
    assert "epsilon" not in plain(compose_config("pretrain_backbone", []))
