"""A finished training whose files were cut and flipped, gone on with: the same result, or one sentence."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import damaged, one_sentence
from safetensors.torch import load_file
from sweep_commands import make_pictures
from training_commands import checkpoint, differing, run

from mcnet_lightning.errors import MCNetError, WeightsError
from mcnet_lightning.evaluation.records import read_metrics
from mcnet_lightning.model.layer_files import load_layer
from mcnet_lightning.sweeps.plan import Job, outcome
from mcnet_lightning.sweeps.record import RUNNING, JobRecord

pytestmark = pytest.mark.slow
CASES = 12  # of each file
RUN = ("trainer.max_epochs=1", "trainer.max_steps=2", "trainer.val_check_interval=1")
ON = ("trainer.max_epochs=1", "trainer.max_steps=4", "trainer.val_check_interval=1")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training ended after two steps, and the same one at the end of its fourth."""
    folder = tmp_path_factory.mktemp("begun")
    make_pictures(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MCNET_CACHE", str(folder / "cache"))
        run("train", *RUN, folder="run", groups=("backbone=srcnn",))
        shutil.copytree("run", "whole")
        run("train", *ON, "resume=whole/checkpoints/last.ckpt", folder="whole", groups=("backbone=srcnn",))
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "history.csv",
        "metrics.csv",
        "layer.safetensors",
        "MODEL_CARD.md",
        "cache",
    ],
)
def test_whatever_is_damaged_the_result_is_right_or_refused(
    name: str, begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCNET_CACHE", "cache")
    expected = load_file("whole/layer.safetensors")
    refused = 0
    good = _file(tmp_path, name).read_bytes()
    for content in damaged(good, CASES):
        shutil.rmtree("run")
        shutil.copytree(begun / "run", "run")
        _file(tmp_path, name).write_bytes(content)
        capsys.readouterr()
        try:
            run("train", *ON, "resume=run/checkpoints/last.ckpt", folder="run", groups=("backbone=srcnn",))
        except MCNetError as error:
            one_sentence(error, WeightsError)
            refused += 1
            continue
        if name.endswith("best.ckpt"):  # the best of the two steps that are left
            assert "best.ckpt is damaged" in capsys.readouterr().out or content == good
        else:
            assert differing(expected, load_file("run/layer.safetensors")) == []
        assert read_metrics(Path("run/metrics.csv"))
        steps = [line.split(",") for line in Path("run/history.csv").read_text().splitlines()]
        assert {len(line) for line in steps} == {len(steps[0])}
    assert refused == 0, "an earlier checkpoint, the last weights or the backbone itself make up for each of these"


def test_with_both_checkpoints_damaged_it_is_refused_and_they_stay(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    last, earlier = (Path("run/checkpoints") / name for name in ("last.ckpt", "last.before.ckpt"))
    for content in damaged(last.read_bytes(), CASES):
        if content == last.read_bytes():
            continue
        for path in (last, earlier):
            path.write_bytes(content)
        try:
            run("train", *ON, "resume=run/checkpoints/last.ckpt", folder="run", groups=("backbone=srcnn",))
        except MCNetError as error:
            one_sentence(error, WeightsError)
            assert last.read_bytes() == earlier.read_bytes() == content
        else:  # bytes that mean nothing, such as the names in a zip's own headers
            assert differing(checkpoint("whole")["state_dict"], checkpoint("run")["state_dict"]) == []
            shutil.copytree(begun / "run", "run", dirs_exist_ok=True)


@pytest.mark.parametrize("change", [lambda text: text, lambda text: text.replace(b"}", b""), lambda text: b"[" * 9999])
def test_records_of_jobs(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    (tmp_path / "metrics.csv").write_text("of this job")
    record = JobRecord("k", RUNNING, ["scale=2"])
    record.complete(tmp_path)
    record.write(tmp_path)
    good, job = (tmp_path / "job.json").read_bytes(), Job(tmp_path, (), {})
    assert outcome(job) == "complete"
    chance = random.Random(1)
    for content in damaged(change(good), 300):
        (tmp_path / "job.json").write_bytes(content)
        assert outcome(job) in ("complete", "damaged", "waiting", "killed", "failed")
        (tmp_path / "metrics.csv").write_text("of another job" if chance.random() < 0.5 else "of this job")
        if outcome(job) == "complete":
            assert (tmp_path / "metrics.csv").read_text() == "of this job" or b'"metrics.csv"' not in content


def _file(place: Path, name: str) -> Path:
    if name == "cache":
        (entry,) = place.glob("cache/prior_images/*")
        return entry
    return place / "run" / name


def test_what_no_kill_can_leave_is_still_no_wrong_number(begun: Path) -> None:
    """The checkpoint of a whole run read as weights: each flipped bit within its numbers is told."""
    path = begun / "whole" / "checkpoints" / "best.ckpt"
    good = path.read_bytes()
    tensor = next(iter(torch.load(path, weights_only=True)["state_dict"].values()))
    place = good.index(tensor.contiguous().numpy().tobytes())
    for offset in range(0, tensor.numel() * 4, max(1, tensor.numel() // 5)):
        content = bytearray(good)
        content[place + offset] ^= 4
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="wrong checksum"):
            load_layer(path, "srcnn", 2)
    path.write_bytes(good)
