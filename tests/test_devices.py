"""Two processes under every launcher: one folder per job, the figures of a single process, and nothing left behind."""

from pathlib import Path

import pytest
import torch
from sweep_commands import SETTINGS, finish, left_behind, make_pictures, rows, start

# solves that converge: where they stop at their cap, Anderson's method makes much of float32's rounding
CONVERGING = [*SETTINGS, "denoiser=averaged", "solver.max_evaluations=100", "backward.max_products=40"]
TWO = ["trainer=ddp", "trainer.devices=2", "trainer.max_epochs=1"]
SWEPT = ["-m", "scale=2,3", "logger=csv"]
LAUNCHERS = {
    "single run": [],  # with everything else as it is by default
    "basic": SWEPT,
    "joblib": [*SWEPT, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": [*SWEPT, "hydra/launcher=submitit_local"],
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("devices")
    make_pictures(folder)
    words = ["-m", "scale=2,3", *CONVERGING, "trainer.max_epochs=1", "logger=csv", "hydra.sweep.dir=one"]
    finish(start(folder, *words))
    return folder


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_find_what_one_finds(launcher: str, pictures: Path) -> None:
    place = launcher.replace(" ", "_")
    swept = bool(LAUNCHERS[launcher])
    directory = f"hydra.sweep.dir={place}" if swept else f"hydra.run.dir={place}"
    before = {path.name for path in pictures.iterdir()}
    finish(start(pictures, *CONVERGING, *TWO, *LAUNCHERS[launcher], directory))
    assert not left_behind(pictures)
    folders = [pictures / place / f"scale={scale}" for scale in (2, 3)] if swept else [pictures / place]
    if swept:
        found = {path.name for path in (pictures / place).iterdir() if path.is_dir() and path.name[0] != "."}
        assert found == {folder.name for folder in folders}
    assert {path.name for path in pictures.iterdir()} - before == {place}
    for folder in folders:
        reference = pictures / "one" / (folder.name if swept else "scale=2")
        for ours, theirs in zip(rows(folder / "metrics.csv"), rows(reference / "metrics.csv"), strict=True):
            assert float(ours["psnr_y"]) == pytest.approx(float(theirs["psnr_y"]), abs=1e-4)
        quality, expected = (
            [row["val/psnr"] for row in rows(run / "history.csv") if row["val/psnr"]] for run in (folder, reference)
        )
        assert [float(value) for value in quality] == pytest.approx([float(value) for value in expected], abs=1e-4)
        checkpoint, single = (
            torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (folder, reference)
        )
        assert checkpoint["global_step"] == single["global_step"]


def test_fewer_processes_than_devices_are_refused(pictures: Path) -> None:
    process = start(pictures, *SETTINGS, "data.batch_size=3", *TWO, "hydra.run.dir=refused")
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 2
    assert "data.batch_size=3 cannot be shared out among 2 processes; take data.batch_size=4" in output
    assert not left_behind(pictures)


def test_the_failure_of_a_process_is_said_once(pictures: Path) -> None:
    words = ["optimiser.learning_rate=1e30", "optimiser.warmup_steps=0", "hydra.run.dir=diverged"]
    process = start(pictures, *SETTINGS, *TWO, *words)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 5, output
    assert output.count("lower optimiser.learning_rate") == 1
    assert "Traceback" not in output
    assert not left_behind(pictures)
