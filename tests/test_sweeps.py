"""Sweeps of real trainings, ended by force in the middle of a job and finished by the same command."""

import re
import signal
from pathlib import Path

import pytest
import torch
from sweep_commands import SETTINGS, end_after, finish, left_behind, make_pictures, rows, start

TWELVE = [
    "backbone=srcnn,rcan",
    "scale=2,3,4",
    "epsilon=0,0.1",
    "experiment=tiny",
    "data.max_patches=32",
    "data.validation_size=48",
    "trainer.accelerator=cpu",
    "method=[backbone,mcnet]",
    "solver.max_evaluations=3",
    "backward.max_products=3",
    "checkpoint_steps=1",
    "trainer.log_every_n_steps=1",
    "logger=csv",
]


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def ended_and_run_again(folder: Path, words: list[str], jobs: list[str], number: signal.Signals) -> None:
    """Ends the sweep in the last of the named jobs, runs it again, and looks at what happened to each job."""
    *complete, stopped = jobs
    output = end_after(start(folder, *words), folder, f"multirun/train/*/{stopped}/checkpoints/last.ckpt", 3, number)
    (sweep,) = [path for path in (folder / "multirun" / "train").iterdir() if path.is_dir()]
    if number == signal.SIGTERM:
        assert "terminated" in output
    step = torch.load(sweep / stopped / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert step > 0
    assert not (sweep / stopped / "metrics.csv").exists()
    before = {job: times(sweep / job) for job in complete}
    output = finish(start(folder, *words))
    assert {job: times(sweep / job) for job in complete} == before
    assert f"goes on from step {step}" in output
    history = rows(sweep / stopped / "history.csv")
    steps = [int(row["step"]) for row in history if row["train/loss"]]
    assert steps == sorted(set(steps))  # none twice
    assert set(steps) == set(range(steps[-1] + 1))
    assert re.search(r"\d+ jobs, \d+ complete", output)
    assert {row["state"] for row in rows(sweep / "sweep.csv")} == {"complete"}
    assert not left_behind(folder)


@pytest.mark.slow
def test_a_killed_sweep_goes_on_at_its_step(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    words = ["-m", "scale=2,3,4", *SETTINGS, "trainer.max_epochs=4", "logger=csv"]
    ended_and_run_again(tmp_path, words, ["scale=2", "scale=3"], signal.SIGKILL)
    (table,) = (tmp_path / "multirun" / "train").glob("*/sweep.csv")
    assert [row["scale"] for row in rows(table)] == ["2", "3", "4"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_twelve_jobs_ended_in_the_fifth(number: signal.Signals, tmp_path: Path) -> None:
    make_pictures(tmp_path)
    jobs = [f"backbone=srcnn,scale={scale},epsilon={epsilon}" for scale in (2, 3, 4) for epsilon in ("0", "0.1")]
    ended_and_run_again(tmp_path, ["-m", *TWELVE, "data.hr=data/test/Small"], jobs[:5], number)
    (table,) = (tmp_path / "multirun" / "train").glob("*/sweep.csv")
    assert len(rows(table)) == 12
