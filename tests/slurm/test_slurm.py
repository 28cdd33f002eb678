"""A sweep of two jobs with two tasks each on a real Slurm: one job is cancelled, the same command finishes it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_commands import SETTINGS, TIMEOUT, finish, left_behind, make_pictures, rows, start

HERE = Path(__file__).parent
WORDS = [
    *("-m", "scale=2,3", *SETTINGS, "trainer.max_epochs=8", "logger=csv"),
    *("trainer=ddp", "trainer.devices=2", "hydra/launcher=submitit_slurm", "hydra.launcher.partition=main"),
    *("hydra.launcher.tasks_per_node=2", "hydra.launcher.timeout_min=60"),
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
    subprocess.run(["scancel", "--user=root"])
    subprocess.run([HERE / "down.sh", place])


def test_a_cancelled_job_is_finished_by_the_same_command(slurm: Path) -> None:
    begin = time.monotonic()
    driver = start(slurm, *WORDS)
    while not list(slurm.glob("multirun/train/*/scale=3/checkpoints/last.ckpt")):
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() - begin < TIMEOUT
        time.sleep(0.5)
    (record,) = slurm.glob("multirun/train/*/scale=3")
    arrays = subprocess.run(["squeue", "-h", "-r", "-o", "%A %i"], capture_output=True, text=True, check=True).stdout
    second = next(line.split()[1] for line in arrays.splitlines() if line.endswith("_1"))
    subprocess.run(["scancel", second], check=True)
    output, _ = driver.communicate(timeout=TIMEOUT)  # a driver that hangs fails here
    assert driver.returncode != 0
    assert "ended from outside" in output
    assert not (record / "metrics.csv").exists()
    output = finish(start(slurm, *WORDS))
    (table,) = slurm.glob("multirun/train/*/sweep.csv")
    assert [row["state"] for row in rows(table)] == ["complete", "complete"]
    logs = "".join(path.read_text() for path in table.parent.glob(".submitit/*/*_log.out"))
    assert "goes on from step" in logs
    folders = {path.name for path in table.parent.iterdir() if path.is_dir() and path.name != ".submitit"}
    assert folders == {"scale=2", "scale=3"}
    print(f"2 jobs of 2 tasks, one of them cancelled and finished: {time.monotonic() - begin:.0f} s")
