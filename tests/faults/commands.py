"""Commands as people start them, on data that costs nothing, and what has to hold however they end."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import in_process
import numpy as np
import pytest
from PIL import Image

TINY_TRAINING = (
    "experiment=tiny",
    "data.train=[tiny]",
    "data.test=[tiny]",
    "data.patch_size=24",
    "data.patch_stride=24",
    "data.validation_size=48",
    "backbone=bicubic",
    "denoiser.depth=2",
    "denoiser.channels=4",
    "denoiser.weights=none",
    "solver.max_evaluations=8",
)
TINY_EVALUATION = ("data.test=[tiny]", "method=[bicubic,backbone]", "backbone=bicubic", "layer.weights=none")


def picture(seed: int, side: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(60, 200, (side // 8 + 2, side // 8 + 2, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def make_data(folder: Path) -> Path:
    """train/tiny and test/tiny below `folder`, as data.root wants them."""
    for part, side, first in (("train", 96, 0), ("test", 48, 9)):
        (folder / part / "tiny").mkdir(parents=True)
        for number in range(2):
            picture(first + number, side).save(folder / part / "tiny" / f"im{number}.png")
    return folder


def command(name: str, *words: str) -> list[str]:
    return [sys.executable, "-m", f"mcnet_lightning.{name}", *words]


def run(name: str, *words: str, cwd: Path | None = None, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """A command to its end; None takes a variable out of its environment."""
    merged = {**os.environ, "WANDB_MODE": "offline", **environment}
    kept = {key: value for key, value in merged.items() if value is not None}
    return subprocess.run(command(name, *words), capture_output=True, text=True, cwd=cwd, env=kept, timeout=600)


def ended_well(done: subprocess.CompletedProcess[str] | in_process.Ended, *codes: int) -> None:
    """The exit code is one of these, and nobody sees a traceback; an error is the last line, and one sentence."""
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    assert done.returncode in codes, (done.returncode, done.stdout[-500:], done.stderr[-1500:])
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == (done.returncode != 0), done.stderr


def damaged(good: bytes, cases: int = 60) -> Iterator[bytes]:
    """Cut anywhere, and with one to eight bytes changed anywhere or within the first 300."""
    chance = random.Random(0)
    for case in range(cases):
        if case % 3 == 0:
            yield good[: chance.randrange(len(good))]
            continue
        content = bytearray(good)
        for _ in range(chance.randrange(1, 9)):
            content[chance.randrange(len(good) if case % 3 == 1 else min(300, len(good)))] = chance.randrange(256)
        yield bytes(content)


def one_sentence(error: Exception, kind: type[Exception] | tuple[type[Exception], ...]) -> None:
    assert isinstance(error, kind), error
    assert "\n" not in str(error)
    assert len(str(error)) < 600


def nothing_half_written(folder: Path) -> None:
    """No staged file stays anywhere below a folder."""
    assert not [path for path in folder.rglob("*") if path.name.endswith((".part", ".tmp")) or path.name[:4] == ".tmp"]


@contextmanager
def small_disk(folder: Path, size: str = "64k", options: str = "") -> Iterator[Path]:
    """A file system of that size in memory; skips the test where it cannot be made."""
    folder.mkdir(exist_ok=True)
    wanted = ["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", str(folder)]
    try:
        made = subprocess.run(wanted, capture_output=True).returncode == 0
    except OSError:
        made = False
    if not made:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
