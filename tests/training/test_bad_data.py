"""What cannot be measured is refused before a training begins; without test images a training ends well."""

from pathlib import Path

import in_process
import numpy as np
import pytest
from PIL import Image
from sweep_commands import make_pictures
from training_commands import COMMANDS, run

from mcnet_lightning.errors import ConfigError, DataError, WeightsError
from mcnet_lightning.methods import Backbone
from mcnet_lightning.problems import Problem
from mcnet_lightning.training import layer_run, pretraining_runs

UNMEASURED = "othing was measured, since data.test names no image"


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_pictures(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_without_test_images_a_training_ends_well_and_says_so(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(name, "data.test=[]", "data.max_patches=4", folder="run")
    assert UNMEASURED in capsys.readouterr().out
    assert UNMEASURED in Path("run/MODEL_CARD.md").read_text()
    assert Path(f"run/{'layer' if name == 'train' else 'weights'}.safetensors").is_file()
    assert not Path("run/metrics.csv").exists()


def forbid_training(patch: pytest.MonkeyPatch) -> None:
    for module in (layer_run, pretraining_runs):
        patch.setattr(module, "fit", lambda *_: pytest.fail("the training began"))


BAD_TEST_IMAGES = {
    "tiny": (["data.test=[Tiny]"], DataError, "Tiny"),
    "no folder": (["data.test=[Elsewhere]"], DataError, "Elsewhere"),
    "no pair": (["data.lr=lr"], DataError, "00"),
    "a pair of another size": (["data.lr=tiny", "data.hr=one"], DataError, "00"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("bad", BAD_TEST_IMAGES)
def test_images_that_cannot_be_measured_are_told_first(bad: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words, kind, answer = BAD_TEST_IMAGES[bad]
    if name == "denoiser" and bad != "no folder":
        pytest.skip("a denoiser sees no LR, and of HR any size")
    gray = np.full((48, 48, 3), 128, np.uint8)
    for place, size in (("data/test/Tiny", 3), ("lr", 24), ("tiny", 9), ("one", 48)):
        Path(place).mkdir()
        name_there = "other.png" if place == "lr" else "00.png"
        Image.fromarray(gray[:size, :size]).save(Path(place) / name_there)
    forbid_training(monkeypatch)
    with pytest.raises(kind, match=answer):
        run(name, *words, folder="run")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("words", "answer"),
    [(["data.train=[]"], "names no training set"), (["data.patch_size=96"], "as large as data.patch_size=96")],
)
def test_bad_training_images_end_before_the_first_step(name: str, words: list[str], answer: str) -> None:
    with pytest.raises((ConfigError, DataError), match=answer):
        run(name, *words, folder="run")
    assert not Path("run/checkpoints/last.ckpt").exists()


def test_methods_that_cannot_be_run_are_told_first(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_training(monkeypatch)
    with pytest.raises(WeightsError, match="there is no weight file nowhere"):
        run("train", "pnp.weights=nowhere", folder="run", groups=("method=[backbone,pnp]",))

    def refuse(method: Backbone, problem: Problem) -> None:
        raise ConfigError("not for this problem")

    monkeypatch.setattr(Backbone, "check", refuse)
    with pytest.raises(ConfigError, match="not for this problem"):
        run("train", folder="run")


def test_evaluating_nothing_is_refused_before_beta_is_searched(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcnet_lightning.evaluation.command.settle", lambda *_: pytest.fail("beta is searched"))
    ended = in_process.command(pictures, "evaluate", "data.test=[]", "beta=auto", "hydra.run.dir=run")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "name some in data.test" in ended.stderr


def test_searching_beta_without_training_images_is_refused(pictures: Path) -> None:
    ended = in_process.command(pictures, "search_beta", "data.train=[]", "hydra.run.dir=run")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "names no training set" in ended.stderr
