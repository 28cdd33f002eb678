"""A training that goes on is the uninterrupted one, bit for bit, wherever it was cut; only its own checkpoint does."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sweep_commands import make_pictures
from training_commands import checkpoint, differing, run

from mcnet_lightning.errors import ConfigError, ConvergenceError, WeightsError

STEPS = 6  # of an epoch: 24 patches in batches of 4
TENSORS = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers")


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_pictures(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture(autouse=True)
def one_thread() -> object:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ["train", "denoiser", "backbone"])
def test_whatever_the_step_the_rest_is_the_same(name: str, pictures: Path) -> None:
    """Cut within an epoch and at its end; every step, and what a kill leaves, is in test_killed."""
    words = ("trainer.max_epochs=2", "trainer.val_check_interval=3")
    whole = run(name, *words, folder="whole", snapshots="left")
    reference, steps = checkpoint("whole"), [checkpoint(folder)["global_step"] for folder in whole.left]
    assert steps == list(range(1, 2 * STEPS + 1))
    for folder in [whole.left[step - 1] for step in (2, 6)]:
        done = checkpoint(folder)["global_step"]
        rest = run(name, *words, f"resume={folder}/checkpoints/last.ckpt", folder=str(folder))
        assert rest.patches == whole.patches[done:]
        found = checkpoint(folder)
        assert differing({key: reference[key] for key in TENSORS}, {key: found[key] for key in TENSORS}) == []
        assert differing(reference.get("warm_starts"), found.get("warm_starts")) == []
        assert (
            differing(checkpoint("whole", "best.ckpt")["state_dict"], checkpoint(folder, "best.ckpt")["state_dict"])
            == []
        )
        assert (folder / "history.csv").read_text() == (pictures / "whole" / "history.csv").read_text()
        result = "layer.safetensors" if name == "train" else "weights.safetensors"
        assert differing(load_file(pictures / "whole" / result), load_file(folder / result)) == []


@pytest.fixture(scope="module")
def first_steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training at scale 2 on 24 patches that ended after two steps."""
    folder = tmp_path_factory.mktemp("begun")
    make_pictures(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("train", "trainer.max_steps=2", folder="begun")
    return folder


@pytest.fixture
def begun(first_steps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its checkpoint, in a copy of its own."""
    shutil.copytree(first_steps, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return "begun/checkpoints/last.ckpt"


def refusal(*words: str, groups: tuple[str, ...] = ()) -> str:
    with pytest.raises((ConfigError, WeightsError)) as refused:
        run("train", *words, folder="refused", groups=groups)
    assert not Path("refused").exists()
    return str(refused.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("scale=3", "(scale: 2 there, 3 here)"),
        ("protocol.name=standard", "(protocol: paper there, standard here)"),
        ("operator.boundary=symmetric", "(operator: bicubic-x2-truncated there, bicubic-x2-symmetric here)"),
        ("denoiser.depth=3", "(denoiser.depth: 2 there, 3 here)"),
        ("denoiser.parameterisation=averaged", "(denoiser.parameterisation: noise_residual there, averaged here)"),
        ("data.max_patches=16", "data.max_patches 24 -> 16"),
        ("seed=1", "seed 0 -> 1"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(changed: str, said: str, begun: str) -> None:
    assert said in refusal(f"resume={begun}", changed)


def test_a_checkpoint_on_another_backbone_or_of_another_command_is_refused(begun: str) -> None:
    assert "(backbone: bicubic there, srcnn here)" in refusal(f"resume={begun}", groups=("backbone=srcnn",))
    with pytest.raises(ConfigError, match=r"kind: layer there, denoiser here"):
        run("denoiser", f"resume={begun}", folder="refused")


def test_a_checkpoint_on_other_pictures_is_refused(begun: str) -> None:
    shutil.copytree("data", "other")
    for picture in Path("other/train/Small").iterdir():
        picture.write_bytes(Path("data/test/Small/00.png").read_bytes())
    answer = refusal(f"resume={begun}", "data.root=other")
    assert "trained on other patches (the pictures of data.train)" in answer


def test_what_can_change_acts_and_is_said(begun: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    rates = ("optimiser.learning_rate=1e-3", "optimiser.warmup_steps=0", "optimiser.final_fraction=1")
    changed = (*rates, "epsilon=0.1", "data.batch_size=8", "layer.prior_weight=0.9", "trainer.max_steps=4")
    run("train", f"resume={begun}", *changed, folder="changed")
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("changed since")]
    for words in ("optimiser.learning_rate 0.0002 -> 0.001", "epsilon 0.0 -> 0.1", "data.batch_size 4 -> 8"):
        assert words in said
    assert said.endswith("without effect, since the checkpoint brings its own: layer.prior_weight")
    found = checkpoint("changed")
    assert found["optimizer_states"][0]["param_groups"][0]["lr"] == 1e-3
    assert found["mcnet"]["config"]["optimiser"]["learning_rate"] == 1e-3
    assert found["mcnet"]["config"]["layer"]["prior_weight"] is None
    assert found["mcnet"]["epsilon"] == 0.1


def test_a_damaged_checkpoint_gives_way_to_the_one_before(begun: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(begun)
    steps = checkpoint("begun")["global_step"]
    assert checkpoint("begun", "last.before.ckpt")["global_step"] == steps - 1
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[: len(whole) // 3], b"", whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        path.write_bytes(damaged)
        run("train", f"resume={begun}", "trainer.max_steps=2", folder="again")
        said = capsys.readouterr().out
        assert "is damaged" in said
        assert f"goes on from step {steps - 1}" in said
    (path.parent / "last.before.ckpt").write_bytes(b"")
    assert "is damaged" in refusal(f"resume={begun}")
    path.write_bytes(Path("data/train/Small/00.png").read_bytes())
    assert "is damaged" in refusal(f"resume={begun}")
    torch.save({"weights": torch.ones(3)}, path)
    assert "is no checkpoint of a training" in refusal(f"resume={begun}")


def test_weights_that_are_no_longer_finite_are_not_kept(begun: str) -> None:
    wild = ("optimiser.learning_rate=1e30", "optimiser.warmup_steps=0")
    with pytest.raises(ConvergenceError, match=r"lower optimiser\.learning_rate"):
        run("train", f"resume={begun}", *wild, folder="begun")
    assert not Path("begun/metrics.csv").exists()  # of the first two steps, not of this run
    assert all(bool(torch.isfinite(tensor).all()) for tensor in checkpoint("begun")["current_model_state"].values())


def test_an_epoch_that_was_cut_short_is_finished(pictures: Path) -> None:
    words = ("trainer.max_epochs=1", "optimiser.warmup_steps=9")  # whose schedule does not ask for the length
    whole = run("train", *words, folder="whole")
    run("train", *words, "trainer.max_steps=2", folder="cut")
    rest = run("train", *words, "resume=cut/checkpoints/last.ckpt", folder="cut")
    assert rest.patches == whole.patches[2:]
    assert differing(checkpoint("whole")["optimizer_states"], checkpoint("cut")["optimizer_states"]) == []


def test_the_best_so_far_comes_along_into_another_folder(pictures: Path) -> None:
    run("train", "trainer.max_epochs=1", folder="first")
    run("train", "trainer.max_epochs=1", "resume=first/checkpoints/last.ckpt", folder="second")
    assert differing(checkpoint("first", "best.ckpt"), checkpoint("second", "best.ckpt")) == []
    assert differing(load_file("first/layer.safetensors"), load_file("second/layer.safetensors")) == []
