"""Sweeps of jobs with two tasks each on a real Slurm: what is cancelled is finished by the same command, and a job that
gets the signal of its time limit is put back in the queue and goes on.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep_commands import SETTINGS, STARTED_BY, TIMEOUT, finish, left_behind, make_pictures, rows, start

HERE = Path(__file__).parent
TWO_TASKS = [
    *SETTINGS,
    *("logger=csv", "trainer=ddp", "trainer.devices=2", "hydra/launcher=submitit_slurm"),
    *("hydra.launcher.partition=main", "hydra.launcher.tasks_per_node=2", "hydra.launcher.timeout_min=60"),
]

pytestmark = pytest.mark.slow


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which sweeps can be started; Slurm runs until the test ends."""
    if shutil.which("slurmctld") is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            pytest.skip("Slurm is not installed, and only root can install it")
        for words in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", "slurm-wlm", "munge"]):
            done = subprocess.run(["apt-get", *words], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"Slurm cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    place = tmp_path / "slurm"
    up = subprocess.run([HERE / "up.sh", place], capture_output=True, text=True)
    if up.returncode != 0:
        subprocess.run([HERE / "down.sh", place])
        pytest.skip(f"Slurm does not start: {up.stderr.strip()}")
    monkeypatch.setenv("SLURM_CONF", str(place / "slurm.conf"))
    monkeypatch.setenv("PATH", str(HERE), prepend=os.pathsep)
    make_pictures(tmp_path)
    yield tmp_path
    for driver in left_behind(tmp_path):
        os.kill(driver, signal.SIGKILL)
    subprocess.run([HERE / "down.sh", place], check=True)
    assert not left_behind(tmp_path)


def wait_for(driver: subprocess.Popen[Any], condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.5)


def slurm_says(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_a_cancelled_job_is_finished_by_the_same_command(slurm: Path) -> None:
    words = ["-m", "scale=2,3", "trainer.max_epochs=8", *TWO_TASKS]
    begin = time.monotonic()
    driver = start(slurm, *words)
    wait_for(driver, lambda: list(slurm.glob("multirun/train/*/scale=2/checkpoints/last.ckpt")))
    queue = slurm_says("squeue", "-h", "-r", "-o", "%A %i")
    first = next(line.split()[1] for line in queue.splitlines() if line.endswith("_0"))
    slurm_says("scancel", first)
    output, _ = driver.communicate(timeout=TIMEOUT)  # a driver that hangs fails here
    assert driver.returncode != 0
    assert "ended from outside" in output
    (table,) = slurm.glob("multirun/train/*/sweep.csv")
    assert [row["state"] for row in rows(table)] == ["killed", "complete"]  # the driver has waited for the other
    assert not slurm_says("squeue", "-h")
    output = finish(start(slurm, *words))
    assert "1 killed, 1 complete" in output
    assert [row["state"] for row in rows(table)] == ["complete", "complete"]
    assert "goes on from step" in logs_of(table.parent)
    folders = {path.name for path in table.parent.iterdir() if path.is_dir() and path.name != ".submitit"}
    assert folders == {"scale=2", "scale=3"}
    print(f"2 jobs of 2 tasks, one of them cancelled and finished: {time.monotonic() - begin:.0f} s")


def test_a_job_is_put_back_before_its_time_is_up(slurm: Path) -> None:
    begin = time.monotonic()
    driver = start(slurm, "-m", "scale=2", "trainer.max_epochs=8", *TWO_TASKS)
    wait_for(driver, lambda: list(slurm.glob("multirun/train/*/job/checkpoints/last.ckpt")))
    (job,) = slurm_says("squeue", "-h", "-o", "%A").split()
    slurm_says("scancel", "--signal=USR2", job)  # what Slurm sends signal_delay_s before the end
    wait_for(driver, lambda: slurm_says("squeue", "-h", "-o", "%T").strip() == "PENDING")
    slurm_says("scontrol", "update", f"JobId={job}", "StartTime=now")  # else it waits for two minutes
    output, _ = driver.communicate(timeout=TIMEOUT)
    assert driver.returncode == 0, output
    (table,) = slurm.glob("multirun/train/*/sweep.csv")
    assert [row["state"] for row in rows(table)] == ["complete"]
    assert "goes on from step" in logs_of(table.parent)
    steps = [int(row["step"]) for row in rows(table.parent / "job" / "history.csv") if row["train/loss"]]
    assert steps == list(range(steps[-1] + 1))
    print(f"a job of 2 tasks, put back in the queue and finished: {time.monotonic() - begin:.0f} s")


def test_a_batch_script_of_ones_own_is_put_back_too(slurm: Path) -> None:
    """Lightning finds its processes by itself; USR1 asks for the requeue."""
    begin = time.monotonic()
    words = [*SETTINGS, "scale=2", "trainer.max_epochs=8", "logger=csv", "trainer=ddp", "trainer.devices=2"]
    command = f"srun {sys.executable} -m mcnet_lightning.train {' '.join(words)}"
    options = [
        "--nodes=1",
        "--ntasks-per-node=2",
        "--requeue",
        "--open-mode=append",
        "--signal=USR1@60",
        "--output=job.log",
    ]
    environment = {**os.environ, "MCNET_CACHE": "cache", "OMP_NUM_THREADS": "1", STARTED_BY: slurm.name}
    driver = subprocess.Popen(["sbatch", "--wait", *options, "--wrap", command], cwd=slurm, env=environment)
    wait_for(driver, lambda: list(slurm.glob("outputs/train/*/checkpoints/last.ckpt")))
    (job,) = slurm_says("squeue", "-h", "-o", "%A").split()
    slurm_says("scancel", "--signal=USR1", job)
    wait_for(driver, lambda: slurm_says("squeue", "-h", "-o", "%T").strip() == "PENDING")
    slurm_says("scontrol", "update", f"JobId={job}", "StartTime=now")
    assert driver.wait(TIMEOUT) == 0, (slurm / "job.log").read_text()
    (run,) = (slurm / "outputs" / "train").iterdir()
    assert (run / "metrics.csv").is_file()
    assert "goes on from step" in (slurm / "job.log").read_text()
    steps = [int(row["step"]) for row in rows(run / "history.csv") if row["train/loss"]]
    assert steps == list(range(steps[-1] + 1))
    print(f"a batch script of 2 tasks, put back in the queue and finished: {time.monotonic() - begin:.0f} s")


def logs_of(sweep: Path) -> str:
    return "".join(path.read_text() for path in sweep.glob(".submitit/*/*_log.out"))
