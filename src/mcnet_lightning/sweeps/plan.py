"""What a sweep consists of, and what is left to do of it."""

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from omegaconf import DictConfig

from mcnet_lightning.sweeps.content import content_key
from mcnet_lightning.sweeps.job import CHECKPOINT
from mcnet_lightning.sweeps.record import COMPLETE, FAILED, NAME, RESULTS, RUNNING, is_running, read_record

LONGEST_NAME = 150  # file systems allow 255
WAITING, KILLED, ELSEWHERE, DAMAGED = "waiting", "killed", "running", "damaged"
SUPERSEDED = ".superseded"


@dataclass(frozen=True)
class Job:
    """One job of a sweep: its folder, its command line, and the settings in which it differs from the others."""

    folder: Path
    words: tuple[str, ...]
    settings: dict[str, str]


def job_name(settings: dict[str, str]) -> str:
    """Folder name such as `backbone=srcnn,scale=2`; with a digest where signs had to go."""
    return _file_name(",".join(f"{key}={value}" for key, value in settings.items())) or "job"


def sweep_name(swept: Sequence[str], words: Sequence[str]) -> str:
    """Folder name such as `backbone-scale-3f2a91`: the swept keys, and a digest of the whole command line.

    The same words in another order give the same name.
    """
    digest = hashlib.sha256("\0".join(sorted(words)).encode()).hexdigest()[:6]
    return f"{_file_name('-'.join(swept)) or 'sweep'}-{digest}"


def outcome(job: Job) -> str:
    """complete, failed, running, killed, damaged or waiting."""
    record = read_record(job.folder)
    if record is None:
        return WAITING
    if record.state == RUNNING:
        return ELSEWHERE if is_running(job.folder) else KILLED
    return DAMAGED if record.state == COMPLETE and record.damaged(job.folder) else record.state


def prepare(job: Job, config: DictConfig) -> str:
    """Readies the job's folder and says what the job is now: `complete` and `running` need no work, `killed` goes on.

    A failed job starts afresh where it has left nothing. Where it has a checkpoint or results, such as one that missed
    epsilon on a test image after its training, it goes on from them, and what it failed by is met again.

    What was made from other data, weights or code, or by other settings, is moved beside the sweep: it is still a
    result. So is what nobody can say that of, since its record is damaged. A complete job whose results are gone or
    changed goes on from its last checkpoint, which makes them again.
    """
    state = outcome(job)
    if state == ELSEWHERE or (state == WAITING and is_running(job.folder)):
        return ELSEWHERE
    record = read_record(job.folder)
    if record is None:
        if any((job.folder / name).exists() for name in (NAME, "checkpoints", *RESULTS)):
            _move_aside(job.folder, "unknown", "job.json is missing or damaged")
        return WAITING
    if record.key != content_key(config):
        _move_aside(job.folder, record.key[:8], "settings, data, weights or code have changed since")
        return WAITING
    if state == DAMAGED:
        print(f"{job.folder.name}: {record.damaged(job.folder)} is gone or not as the job left it; it is made again")
    if state == FAILED and not any((job.folder / name).exists() for name in (CHECKPOINT, *RESULTS)):
        shutil.rmtree(job.folder)
    return state


def needs_work(state: str) -> bool:
    return state not in (COMPLETE, ELSEWHERE)


def _move_aside(folder: Path, key: str, reason: str) -> None:
    store = folder.parent.with_name(folder.parent.name + SUPERSEDED)
    store.mkdir(parents=True, exist_ok=True)
    names = (f"{folder.name}-{key}" + (f"-{number}" if number > 1 else "") for number in count(1))
    target = next(path for name in names if not (path := store / name).exists())
    folder.rename(target)
    print(f"{folder.name}: {reason}; what was there is now {target}")


def _file_name(text: str) -> str:
    clean = re.sub(r"[^\w=,.+\-\[\]]", "_", text)
    if clean == text and len(text) <= LONGEST_NAME:
        return text
    return f"{clean[:LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
