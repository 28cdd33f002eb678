"""A job of a sweep while it runs: locked, recorded, resumed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from filelock import Timeout
from omegaconf import DictConfig

from mcnet_lightning.errors import MCNetError
from mcnet_lightning.files.writer import is_first_process
from mcnet_lightning.sweeps.content import content_key
from mcnet_lightning.sweeps.record import FAILED, RUNNING, JobRecord, job_lock, read_record

CHECKPOINT = Path("checkpoints") / "last.ckpt"


@contextmanager
def swept_job(config: DictConfig, folder: Path, overrides: list[str]) -> Iterator[list[str]]:
    """Within it, `config.resume` is the job's own last checkpoint if it has one; yields `overrides` and the word that
    says so.

    The folder's job.json says `running`, afterwards `complete` or `failed`; after a kill it goes on saying `running`.
    Raises MCNetError if another process runs this job.
    """
    resume = folder / CHECKPOINT
    resumes = "resume" in config and resume.is_file()
    if resumes:
        config.resume = str(resume)
    with _recorded(config, folder, overrides) if is_first_process() else nullcontext():
        yield [*overrides, *([f"resume='{resume}'"] if resumes else [])]


@contextmanager
def _recorded(config: DictConfig, folder: Path, overrides: list[str]) -> Iterator[None]:
    with _alone(folder):
        record = JobRecord(content_key(config), RUNNING, overrides, seconds=_seconds_before(folder))
        record.write(folder)
        before, start = record.seconds, time.perf_counter()
        try:
            yield
        except Exception as error:
            record.state, record.error = FAILED, " ".join(str(error).split()) or type(error).__name__
            raise
        else:
            record.complete(folder)
        finally:  # a job that is asked to stop goes on saying `running`
            record.seconds = before + time.perf_counter() - start
            if record.state != RUNNING:
                record.write(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = job_lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise MCNetError(f"{folder.name} is being run by another process; wait for it or end it") from None
    try:
        yield
    finally:
        lock.release()


def _seconds_before(folder: Path) -> float:
    """What earlier parts of this job took, as far as it was not lost: up to its last checkpoint."""
    record, checkpoint = read_record(folder), folder / CHECKPOINT
    if record is None or not checkpoint.is_file():
        return 0.0
    return record.seconds + max(0.0, checkpoint.stat().st_mtime - record.started)
