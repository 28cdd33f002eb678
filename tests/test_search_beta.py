"""The `search_beta` command as a user runs it, and the training command that it names."""

from pathlib import Path

import pytest
from in_process import command

from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.evaluation.command import train_command


def test_command_prints_the_table_and_names_the_training_that_follows(tmp_path: Path) -> None:
    words = ["betas=[0.5,0.1]", "data.validation_size=48", "data.validation_images=1", "hydra.run.dir=run"]
    done = command(tmp_path, "search_beta", *words)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.glob("run/*.csv")] == ["search_beta.csv"]
    assert "gain over projection" in done.stdout
    typed = done.stdout.splitlines()[-1].split()
    assert typed[:3] == ["python", "-m", "mcnet_lightning.train"]
    config = compose_config("train", typed[3:])
    assert config.layer.prior_weight in (0.1, 0.5)
    assert config.data.validation_size == 48


@pytest.mark.parametrize(
    ("words", "layer", "expected"),
    [
        (["scale=3", "betas=[0.1]", "device=cpu"], "none", "scale=3 layer.prior_weight=0.2"),
        (["layer.weights=bundled", "hydra.run.dir=here"], "bundled", "layer.weights=bundled beta=0.2"),
        (["layer.prior_weight=1", "data.test=[Set5,Set14]"], "none", "'data.test=[Set5,Set14]' layer.prior_weight=0.2"),
    ],
)
def test_training_keeps_what_concerns_it(words: list[str], layer: str, expected: str) -> None:
    assert train_command(words, 0.2, layer) == f"python -m mcnet_lightning.train {expected}"
