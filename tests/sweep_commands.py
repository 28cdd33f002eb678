"""What tests of real sweeps share: small pictures, a tiny network, and a way to end a process halfway."""

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

STARTED_BY = "MCNET_TEST_RUN"  # in the environment of every process that a test starts, and of theirs
TIMEOUT = 3600.0  # machines may be busy
SETTINGS = [
    "backbone=bicubic",
    "data=folder",
    "data.root=data",
    "data.train=[Small]",
    "data.test=[Small]",
    "data.patch_size=24",
    "data.patch_stride=12",
    "data.max_patches=24",
    "data.batch_size=4",
    "data.validation_size=48",
    "data.validation_images=3",
    "denoiser.weights=none",
    "denoiser.depth=2",
    "denoiser.channels=4",
    "method=[backbone,mcnet]",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "checkpoint_steps=1",
    "solver.max_evaluations=8",
    "backward.max_products=8",
]


def make_pictures(folder: Path) -> None:
    """data/train/Small (31 of them, so that three are held out) and data/test/Small, 48 pixels wide."""
    picture = data.astronaut()
    for part, count in (("train", 31), ("test", 2)):
        place = folder / "data" / part / "Small"
        place.mkdir(parents=True)
        for index in range(count):
            top, left = divmod(index * 37, 400)
            crop = np.ascontiguousarray(picture[top * 40 : top * 40 + 48, left : left + 48])
            Image.fromarray(crop).save(place / f"{index:02}.png")


def start(folder: Path, *words: str, module: str = "train") -> subprocess.Popen[str]:
    environment = {**os.environ, "MCNET_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "WANDB_MODE": ""}
    return subprocess.Popen(
        [sys.executable, "-m", f"mcnet_lightning.{module}", *words],
        cwd=folder,
        env={**environment, STARTED_BY: folder.name},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Its output. Asserts that it ended well."""
    output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, output
    return output


def end_after(
    process: subprocess.Popen[str], folder: Path, checkpoint: str, writes: int, number: signal.Signals
) -> str:
    """Sends the signal once the file that the pattern finds has been written so often; returns the output."""
    seen: set[int] = set()
    deadline = time.monotonic() + TIMEOUT
    while len(seen) < writes:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        with contextlib.suppress(FileNotFoundError):  # between two of them
            seen |= {path.stat().st_mtime_ns for path in folder.glob(checkpoint)}
        time.sleep(0.005)
    process.send_signal(number)
    return process.communicate(timeout=TIMEOUT)[0]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def left_behind(folder: Path) -> list[int]:
    """Processes that a test started, directly or not, and that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"{STARTED_BY}={folder.name}".encode() in environment.split(b"\0"):
            found.append(int(entry.name))
    return found
