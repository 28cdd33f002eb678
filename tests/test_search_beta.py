"""The `search_beta` command as a user runs it, and the training command that it names."""

from pathlib import Path

import pytest
from in_process import command

from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.data import load_images
from mcnet_lightning.evaluation import auto_beta
from mcnet_lightning.evaluation.command import train_command
from mcnet_lightning.evaluation.records import SETTLED
from mcnet_lightning.imaging import write_png


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


def test_beta_auto_is_the_best_of_the_grid_and_is_searched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_beta, "BETAS", [0.1, 0.5])
    given = ["data.validation_size=48", "data.validation_images=1", f"data.cache_dir={tmp_path / 'cache'}"]
    for each in load_images("photographs", "test")[:1]:
        (tmp_path / "data" / "test" / "Small").mkdir(parents=True)
        write_png(tmp_path / "data" / "test" / "Small" / "a.png", each.rgb[:, 60:92, 60:92])
        (tmp_path / "data" / "train" / "Small").mkdir(parents=True)
        for name in ("a", "b"):
            write_png(tmp_path / "data" / "train" / "Small" / f"{name}.png", each.rgb[:, 90:154, 40:104])
    given += ["data=folder", "data.root=data", "data.train=[Small]", "data.test=[Small]"]
    done = command(tmp_path, "search_beta", *given, "layer.weights=bundled:paper", "betas=[0.1,0.5]")
    assert done.returncode == 0, done.stderr
    best = done.stdout.splitlines()[-1].split("beta=")[-1]
    words = [*given, "layer.weights=bundled:paper", "beta=auto"]
    first = command(tmp_path, "evaluate", *words, "hydra.run.dir=one")
    assert first.returncode == 0, first.stderr
    assert f"beta=auto: {best}, the best of 2 on 1 held-out training images" in first.stdout
    monkeypatch.setattr(auto_beta, "search_beta", lambda *_: pytest.fail("searched again"))
    again = command(tmp_path, "evaluate", *words, "hydra.run.dir=two")
    assert again.returncode == 0, again.stderr
    assert [(tmp_path / run / SETTLED).read_text() for run in ("one", "two")] == [f"beta: {float(best)}\n"] * 2
    with pytest.raises(pytest.fail.Exception, match="searched again"):  # another problem
        command(tmp_path, "evaluate", *words, "epsilon=0.1", "hydra.run.dir=three")


def test_a_damaged_answer_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = tmp_path / "key.json", tmp_path / "another.json"
    assert auto_beta._kept(path) is None
    assert not capsys.readouterr().err
    good = auto_beta._entry("key", 0.1)
    path.write_bytes(good)
    assert auto_beta._kept(path) == 0.1
    for content in (good[:-9], good.replace(b"0.1", b"0.5"), b"[" * 99999, b""):
        path.write_bytes(content)
        assert auto_beta._kept(path) is None
        assert "beta is searched again" in capsys.readouterr().err
    other.write_bytes(good)
    assert auto_beta._kept(other) is None
