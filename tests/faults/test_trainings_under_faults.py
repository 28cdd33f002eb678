"""Trainings killed, on full disks, and started together: the files that a run has left are whole, and it is finished by
the same command with the results of an undisturbed one.
"""

import csv
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import in_process
import pytest
import torch
from commands import TINY_TRAINING, command, ended_well, make_data, nothing_half_written, run, small_disk
from safetensors.torch import load_file

from mcnet_lightning.evaluation.records import read_metrics
from mcnet_lightning.files.weights import read_weights
from mcnet_lightning.training.checkpoints import before, readable

pytestmark = pytest.mark.slow
KILLS = 4
SAID_AGAIN = ("seconds",)  # columns of metrics.csv that tell of the machine
TRAINING = (*TINY_TRAINING, "trainer.max_epochs=3", "trainer.accelerator=cpu", "checkpoint_steps=1", "logger=csv")
DENOISER = [word for word in TINY_TRAINING if not word.startswith(("experiment", "backbone", "solver"))]
BACKBONE = [word for word in DENOISER if not word.startswith("denoiser")]
COMMANDS = {
    "train": ["train", *TRAINING],
    "denoiser": ["pretrain", "denoiser", *DENOISER, "trainer.max_epochs=2", "checkpoint_steps=1", "logger=csv"],
    "backbone": ["pretrain", "backbone", *BACKBONE, "trainer.max_epochs=2", "checkpoint_steps=1", "logger=csv"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"data.root={make_data(tmp_path_factory.mktemp('data'))}"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def whole(folder: Path) -> None:
    """Whatever stands under a final name can be read to its end."""
    checkpoint = folder / "checkpoints" / "last.ckpt"
    for path in (checkpoint, before(checkpoint)):
        if path.is_file():
            assert readable(path) == path
            torch.load(path, weights_only=True)
    for path in [*folder.glob("*.safetensors"), *folder.glob("checkpoints/best.ckpt")]:
        read_weights(path)
    if (folder / "metrics.csv").is_file():
        assert read_metrics(folder / "metrics.csv")


def results(folder: Path) -> dict[str, Any]:
    """What a finished run has found, without what tells of the machine."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{key: text for key, text in row.items() if key not in SAID_AGAIN} for row in csv.DictReader(file)]
    tensors = {name: tensor.tolist() for name, tensor in load_file(folder / "layer.safetensors").items()}
    return {"rows": rows, "layer": tensors, "history": (folder / "history.csv").read_text()}


def going_on(folder: Path) -> list[str]:
    """The words by which a person goes on with a run that was ended."""
    last = folder / "checkpoints" / "last.ckpt"
    return [f"hydra.run.dir={folder}", *([f"resume={last}"] if last.is_file() else [])]


def test_kills_at_random_moments_change_nothing(tmp_path: Path, data: str) -> None:
    """Not only within the steps: while it starts, validates, measures and writes, and twice in one run."""
    words = [*TRAINING, data]
    start = time.monotonic()
    ended_well(run("train", *words, f"hydra.run.dir={tmp_path / 'expected'}"), 0)
    seconds, chance = time.monotonic() - start, random.Random(0)
    expected = results(tmp_path / "expected")
    for attempt in range(KILLS):
        folder = tmp_path / f"cut{attempt}"
        for _ in range(1 + attempt % 2):
            typed = command("train", *words, *going_on(folder))
            with subprocess.Popen(typed, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
                time.sleep(seconds * chance.uniform(0.4, 1.0))
                process.send_signal(signal.SIGKILL)
            whole(folder)
        ended_well(in_process.command(tmp_path, "train", *words, *going_on(folder)), 0)
        assert results(folder) == expected, attempt
        nothing_half_written(folder)


@pytest.fixture(params=["16k", "64k", "160k", "320k"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", request.param) as disk:
        yield disk


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_ends_a_training_in_one_sentence_and_with_room_it_is_finished(
    name: str, full: Path, data: str, tmp_path: Path
) -> None:
    words = [*COMMANDS[name], data]
    ended_well(in_process.command(tmp_path, *words, *going_on(full / "run")), 0, 3)
    nothing_half_written(full)
    whole(full / "run")
    subprocess.run(["mount", "-o", "remount,size=64m", str(full)], check=True)
    ended_well(in_process.command(tmp_path, *words, *going_on(full / "run")), 0)
    assert len(list((full / "run").glob("*.safetensors"))) == 1
    nothing_half_written(full)
    whole(full / "run")


@pytest.mark.parametrize("largest", [0, 2_000, 20_000, 40_000])
def test_files_that_cannot_grow_end_a_training_in_one_sentence(tmp_path: Path, data: str, largest: int) -> None:
    """A quota, as far as the system can be asked for one without rights: no file above so many bytes."""
    folder = tmp_path / "run"
    typed = command("train", *TRAINING, data, f"hydra.run.dir={folder}")
    done = subprocess.run(["prlimit", f"--fsize={largest}", *typed], capture_output=True, text=True, timeout=600)
    ended_well(done, 0, 3)
    nothing_half_written(tmp_path)
    whole(folder)
    ended_well(in_process.command(tmp_path, "train", *TRAINING, data, *going_on(folder)), 0)


@pytest.mark.parametrize("place", ["history.csv", "checkpoints", "layer.safetensors", "MODEL_CARD.md", "metrics.csv"])
def test_a_device_that_is_full_in_the_place_of_a_file(tmp_path: Path, data: str, place: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / place).symlink_to("/dev/full")
    ended_well(in_process.command(tmp_path, "train", *TRAINING, data, f"hydra.run.dir={tmp_path / 'run'}"), 0, 3)
    nothing_half_written(tmp_path)
    whole(tmp_path / "run")


def test_several_trainings_at_once_share_neither_folder_nor_numbers(tmp_path: Path, data: str) -> None:
    """Four with one cache: two that name one folder, of which one is refused, and two that name none."""
    named = ["train", *TRAINING, data, f"hydra.run.dir={tmp_path / 'one'}"]
    unnamed = ["train", *TRAINING, data]
    typed = [named, named, unnamed, unnamed]
    running = [
        subprocess.Popen(command(*each), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for each in typed
    ]
    done = []
    for process in running:
        out, error = process.communicate(timeout=900)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, error))
    for each in done:
        ended_well(each, 0, 2)
    assert sorted(each.returncode for each in done[:2]) == [0, 2]
    assert [each.returncode for each in done[2:]] == [0, 0]
    assert sum("another process runs in" in each.stderr for each in done) == 1
    folders = [tmp_path / "one", *(tmp_path / "outputs" / "train").iterdir()]
    assert len(folders) == 3
    first, *others = [results(folder) for folder in folders]
    assert all(other == first for other in others)
    nothing_half_written(tmp_path)


def test_a_sweep_and_a_report_given_twice_at_once(tmp_path: Path, data: str) -> None:
    sweep = ["train", "-m", "epsilon=0,0.1", *TRAINING, data, f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    running = [subprocess.Popen(command(*sweep), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    texts = [process.communicate(timeout=900)[1] for process in running]
    assert not any("Traceback" in text for text in texts), texts
    assert {process.returncode for process in running} <= {0, 1}
    ended_well(run(*sweep), 0)
    with (tmp_path / "sweep" / "sweep.csv").open(newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["complete", "complete"]
    report = ["report", f"runs={tmp_path / 'sweep'}", f"output={tmp_path / 'report'}"]
    running = [subprocess.Popen(command(*report), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert not any("Traceback" in process.communicate(timeout=600)[1] for process in running)
    assert (tmp_path / "report" / "index.html").read_text().rstrip().endswith("</html>")
    nothing_half_written(tmp_path)
