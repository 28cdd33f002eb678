"""A record that cannot be written is left out, and that is said: no training is lost over it."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

PROBE = 1 << 16  # bytes that a disk with room takes
FAILED_WRITE = "failed to save record"  # what W&B's own process notes of it, in its log and nowhere else


@contextmanager
def leaving_out(what: str) -> Iterator[None]:
    """Says that `what` is left out, and why, where the block fails; the run goes on."""
    try:
        yield
    except Exception as error:  # services and file systems fail in every way there is
        say_left_out(what, error)


def say_left_out(what: str, reason: object) -> None:
    text = " ".join(str(reason).split()) or type(reason).__name__
    print(f"left out: {what} ({text[:300]}); the run's other files are complete", file=sys.stderr)


def place_wandb(folder: Path) -> None:
    """Has W&B keep below `folder` what it would write into a home that is not there or cannot be written."""
    usual = {
        "WANDB_DATA_DIR": platformdirs.user_data_dir("wandb"),
        "WANDB_CACHE_DIR": platformdirs.user_cache_dir("wandb"),
        "WANDB_CONFIG_DIR": str(Path(os.environ.get("HOME", "~"), ".config", "wandb")),
    }
    for variable, place in usual.items():
        if variable in os.environ and variable not in _PLACED:
            continue
        if "HOME" not in os.environ or not _can_write(Path(place)):
            os.environ[variable] = str(folder / "wandb")
            _PLACED.add(variable)


_PLACED: set[str] = set()  # variables that are ours: the next job of a sweep has a folder of its own


def lost_record(run_folder: Path) -> str | None:
    """Why the record of a finished W&B run is not whole, as far as its disk and its log tell; None if it is."""
    log = run_folder / "logs" / "debug-internal.log"
    if log.is_file() and FAILED_WRITE in (text := log.read_text(errors="replace")):
        line = text[text.index(FAILED_WRITE) :].partition('"}')[0]
        return line[:200]
    try:
        with tempfile.TemporaryFile(dir=run_folder) as probe:
            probe.write(b"\0" * PROBE)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return f"{run_folder}: {error.strerror or error}"
    return None


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
