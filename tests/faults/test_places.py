"""Places that cannot be written, and terminals that cannot show: results are made, and what is left out is said."""

import subprocess
from pathlib import Path
from typing import Any

import in_process
import pytest
from commands import (
    TINY_EVALUATION,
    TINY_TRAINING,
    command,
    ended_well,
    make_data,
    nothing_half_written,
    picture,
    read_only,
    run,
    small_disk,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"data.root={make_data(tmp_path_factory.mktemp('data'))}"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"HOME": "/proc/nothing"}, None),
        ({"HOME": None}, None),
        ({"TMPDIR": "/proc/nothing"}, None),
        ({"MCNET_CACHE": "/proc/nothing"}, "outputs are not kept for the next training"),
        (
            {"WANDB_DATA_DIR": "/proc/nothing", "WANDB_CACHE_DIR": "/proc/nothing"},
            "left out: the results of WandbLogger",
        ),
    ],
    ids=["home", "no home", "tmpdir", "cache", "wandb"],
)
def test_training_ends_with_its_metrics(
    tmp_path: Path, data: str, environment: dict[str, Any], said: str | None
) -> None:
    done = run("train", *TINY_TRAINING, data, f"hydra.run.dir={tmp_path / 'run'}", "logger=wandb", **environment)
    ended_well(done, 0)
    assert {"metrics.csv", "history.csv", "layer.safetensors"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert "left out" not in done.stderr if said is None else said in done.stderr
    nothing_half_written(tmp_path)


def test_a_full_folder_of_wandb_is_said(tmp_path: Path, data: str) -> None:
    (tmp_path / "run").mkdir()
    with small_disk(tmp_path / "run" / "wandb", "16k"):
        done = run("train", *TINY_TRAINING, data, f"hydra.run.dir={tmp_path / 'run'}", "logger=wandb")
    ended_well(done, 0)
    assert (tmp_path / "run" / "metrics.csv").is_file()
    assert "left out" in done.stderr


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_a_working_directory_that_cannot_be_written(tmp_path: Path, data: str, name: str) -> None:
    words = (TINY_TRAINING if name == "train" else TINY_EVALUATION) + (data,)
    with small_disk(tmp_path / "cwd") as here:
        read_only(here)
        done = run(name, *words, cwd=here)
        ended_well(done, 3)
        assert "hydra.run.dir=FOLDER" in done.stderr
        ended_well(run(name, *words, f"hydra.run.dir={tmp_path / 'run'}", cwd=here), 0)
    assert (tmp_path / "run" / "metrics.csv").is_file()


def test_closed_pipes_full_logs_and_plain_terminals_cost_no_result(tmp_path: Path, data: str) -> None:
    for number, (shell, environment) in enumerate(
        (
            ("{} | head -1", {}),
            ("{} | true", {}),
            ("{} >&-", {}),
            ("{} 2>&-", {}),
            ("{} > /dev/full 2>&1", {}),
            ("{}", {"PYTHONIOENCODING": "ascii"}),
            ("{}", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        )
    ):
        folder = tmp_path / str(number)
        typed = " ".join(f"'{word}'" for word in command("evaluate", *TINY_EVALUATION, data, f"hydra.run.dir={folder}"))
        variables = " ".join(f"{name}={value}" for name, value in environment.items())
        line = f"set -o pipefail; {shell.format(f'env {variables} {typed}')}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=600)
        ended_well(done, 0)
        assert (folder / "metrics.csv").is_file(), line


def test_a_run_that_changes_its_directory_finds_what_was_typed(tmp_path: Path) -> None:
    make_data(tmp_path / "data")
    words = ("data.root=data", "hydra.run.dir=runs/one", "hydra.job.chdir=true")
    ended_well(run("evaluate", *TINY_EVALUATION, *words, cwd=tmp_path), 0)
    assert (tmp_path / "runs" / "one" / "metrics.csv").is_file()
    ended_well(run("report", "runs=runs", "output=report", "hydra.job.chdir=true", cwd=tmp_path), 0)
    assert (tmp_path / "report" / "index.html").is_file()


@pytest.mark.parametrize("size", ["4k", "12k", "40k", "200k"])
def test_a_full_disk_ends_evaluation_report_restore_and_sweep_in_one_sentence(
    tmp_path: Path, data: str, size: str
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        picture(number, 64).save(tmp_path / "in" / f"{number}.png")
    evaluation = (*TINY_EVALUATION, data)
    ended_well(in_process.command(tmp_path, "evaluate", *evaluation, "hydra.run.dir=run"), 0)
    with small_disk(tmp_path / "disk", size) as disk:
        for name, *words in (
            ("evaluate", *evaluation, "pictures=true", f"hydra.run.dir={disk / 'run'}"),
            ("report", "runs=run", f"output={disk / 'report'}"),
            ("restore", "input=in", f"output={disk / 'out'}", "backbone=bicubic"),
        ):
            ended_well(in_process.command(tmp_path, name, *words), 0, 2, 3)
            nothing_half_written(disk)
            subprocess.run(["find", str(disk), "-mindepth", "1", "-delete"], check=True)
        sweep = ("evaluate", "-m", "scale=2,3", *evaluation, "pictures=true", f"hydra.sweep.dir={disk / 'sweep'}")
        ended_well(in_process.command(tmp_path, *sweep), 0, 1, 3)
        nothing_half_written(disk)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        ended_well(in_process.command(tmp_path, *sweep), 0)
        table = (disk / "sweep" / "sweep.csv").read_text()
        assert table.count("complete") == 2


def test_a_full_cache_costs_time_only(tmp_path: Path, data: str) -> None:
    with small_disk(tmp_path / "cache", "16k") as disk:
        words = (*TINY_TRAINING, data, f"hydra.run.dir={tmp_path / 'run'}", "logger=csv")
        done = run("train", *words, MCNET_CACHE=str(disk))
        nothing_half_written(disk)
    ended_well(done, 0)
    assert "outputs are not kept for the next training" in done.stderr
    assert (tmp_path / "run" / "metrics.csv").is_file()
