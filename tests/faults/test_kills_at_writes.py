"""Every command killed at the moment when it gives a file its name, again and again: what stands there is whole, and in
the end the same command has the results of an undisturbed one.
"""

import csv
import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import in_process
import pytest
from commands import TINY_EVALUATION, TINY_TRAINING, ended_well, make_data, nothing_half_written, picture
from PIL import Image
from safetensors.torch import load_file

pytestmark = pytest.mark.slow
OF_THE_MACHINE = ("seconds", "key", "started")  # columns and entries that differ from run to run
SHORT = ("trainer.max_epochs=1", "trainer.accelerator=cpu", "checkpoint_steps=2", "logger=csv", "hydra.run.dir=run")
PRETRAINING = [word for word in TINY_TRAINING if not word.startswith(("experiment", "backbone", "denoiser", "solver"))]
DENOISER = [word for word in TINY_TRAINING if word.startswith("denoiser")]
COMMANDS: dict[str, tuple[Sequence[str], int]] = {  # and at how many more files each kill comes than the one before
    "train": (["train", *TINY_TRAINING, *SHORT, "backbone=srcnn"], 2),
    "denoiser": (["pretrain", "denoiser", *PRETRAINING, *DENOISER, *SHORT], 1),
    "backbone": (["pretrain", "backbone", *PRETRAINING, *SHORT], 1),
    "evaluate": (["evaluate", *TINY_EVALUATION, "pictures=true", "traces=true", "hydra.run.dir=run"], 3),
    "sweep": (["evaluate", "-m", "scale=2,3", *TINY_EVALUATION, "hydra.sweep.dir=run"], 2),
    "search_beta": (
        ["search_beta", "data.train=[tiny]", "backbone=bicubic", "betas=[0.1,0.2]", "device=cpu", "hydra.run.dir=run"],
        1,
    ),
    "report": (["report", "runs=measured", "output=run"], 4),
    "restore": (["restore", "input=in", "output=run", "backbone=bicubic"], 1),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path / "cache"))
    make_data(tmp_path / "data")
    (tmp_path / "in").mkdir()
    for number in range(2):
        picture(number, 32).save(tmp_path / "in" / f"{number}.png")
    return tmp_path


def struck(number: int, folder: Path, *words: str) -> bool:
    """Whether a copy of this process was killed at the `number`-th file of the command, before or after it got its name
    by turns; False if it made fewer.
    """
    if (child := os.fork()) == 0:
        rename, made, code = os.replace, count(), 99

        def strike(source: Any, target: Any) -> None:
            due = next(made) == number
            if not due or number % 2:
                rename(source, target)
            if due:
                os.kill(os.getpid(), signal.SIGKILL)

        pytest.MonkeyPatch().setattr(os, "replace", strike)
        try:
            code = in_process.command(folder, *words).returncode
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, (number, status)
    return os.WIFSIGNALED(status)


def found(folder: Path) -> dict[str, Any]:
    """What all files hold that a command has left under their final names, each read to its end."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".csv": rows,
        ".json": entries,
        ".png": pixels,
        ".safetensors": tensors,
        ".html": Path.read_text,
    }
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in readers and path.is_file()]
    return {str(path.relative_to(folder)): readers[path.suffix](path) for path in files}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{key: text for key, text in row.items() if key not in OF_THE_MACHINE} for row in csv.DictReader(file)]


def entries(path: Path) -> dict[str, Any]:
    told = json.loads(path.read_text())
    return {key: value for key, value in told.items() if key not in (*OF_THE_MACHINE, "results")}


def pixels(path: Path) -> bytes:
    return Image.open(path, formats=["PNG"]).tobytes()


def tensors(path: Path) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in load_file(path).items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_kills_at_the_naming_of_files_change_nothing(name: str, place: Path) -> None:
    typed, step = COMMANDS[name]
    words = [*typed, *(["data.root=data"] if name not in ("report", "restore") else [])]
    if name == "report":
        evaluation = ["evaluate", *TINY_EVALUATION, "data.root=data", "pictures=true", "hydra.run.dir=measured"]
        ended_well(in_process.command(place, *evaluation), 0)
    ended_well(in_process.command(place, *words), 0)
    (place / "run").rename(place / "expected")
    shutil.rmtree(place / "cache", ignore_errors=True)

    def going_on() -> list[str]:
        resumed = (place / "run" / "checkpoints" / "last.ckpt").is_file()
        return [*words, *(["resume=run/checkpoints/last.ckpt"] if resumed else [])]

    kills = 0
    for number in count(0, step):
        if not struck(number, place, *going_on()):
            break
        kills += 1
        found(place / "run")
    assert kills
    ended_well(in_process.command(place, *going_on()), 0)
    assert found(place / "run") == found(place / "expected")
    nothing_half_written(place)
    print(f"{name}: killed at {kills} of its files")
