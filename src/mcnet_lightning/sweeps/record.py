"""job.json: what a job is, and how far it came. Written under its final name in one step, so it is never half there."""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

RUNNING, COMPLETE, FAILED = "running", "complete", "failed"
NAME = "job.json"
LOCK = ".job.lock"


@dataclass
class JobRecord:
    """key: content key. seconds: spent in earlier parts of the same job. started: of the present part, Unix time."""

    key: str
    state: str
    overrides: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    seconds: float = 0.0
    error: str | None = None

    def write(self, folder: Path) -> None:
        temporary = folder / f".{NAME}.part"
        with temporary.open("w") as file:
            json.dump(asdict(self), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / NAME)


def read_record(folder: Path) -> JobRecord | None:
    """The record of a job; None if it has not begun, or what is there is no record of ours."""
    try:
        return JobRecord(**json.loads((folder / NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def job_lock(folder: Path) -> FileLock:
    """Held by the process that runs the job; the system releases it when that process dies, however it dies."""
    return FileLock(folder / LOCK)


def is_running(folder: Path) -> bool:
    """Whether some process holds the job's lock."""
    if not (folder / LOCK).exists():
        return False
    try:
        with job_lock(folder).acquire(timeout=0):
            return False
    except Timeout:
        return True
