"""job.json: what a job is, and how far it came. Written under its final name in one step, so it is never half there."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mcnet_lightning.files import file_digest, write_file

RUNNING, COMPLETE, FAILED = "running", "complete", "failed"
NAME = "job.json"
LOCK = ".job.lock"
RESULTS = ("metrics.csv", "layer.safetensors", "weights.safetensors", "search_beta.csv")


@dataclass
class JobRecord:
    """key: content key. seconds: spent in earlier parts of the same job. started: of the present part, Unix time.
    results: SHA-256 of the files that the finished job has left.
    """

    key: str
    state: str
    overrides: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    seconds: float = 0.0
    error: str | None = None
    results: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        write_file(folder / NAME, json.dumps(asdict(self), indent=1))

    def complete(self, folder: Path) -> None:
        """Takes down what the job has left."""
        self.state = COMPLETE
        self.results = {name: file_digest(folder / name) for name in RESULTS if (folder / name).is_file()}

    def damaged(self, folder: Path) -> str | None:
        """The first result that is no longer what the job has left; None if all are. Older records hold none."""
        for name, digest in self.results.items():
            if not (folder / name).is_file() or file_digest(folder / name) != digest:
                return name
        return None


def read_record(folder: Path) -> JobRecord | None:
    """The record of a job; None if it has not begun, or what is there is no record of ours."""
    try:
        record = JobRecord(**json.loads((folder / NAME).read_text()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    kinds: dict[str, Any] = {"key": str, "state": str, "overrides": list, "results": dict}
    kinds |= {"started": int | float, "seconds": int | float}
    known = record.state in (RUNNING, COMPLETE, FAILED)
    return record if known and all(isinstance(getattr(record, n), kind) for n, kind in kinds.items()) else None


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
