"""A job of a sweep while it runs: locked, recorded, resumed, and with a command line of its own."""

import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, read_write

import __main__
from mcnet_lightning.errors import MCNetError
from mcnet_lightning.files.writer import is_first_process
from mcnet_lightning.sweeps.content import content_key
from mcnet_lightning.sweeps.record import FAILED, RUNNING, JobRecord, job_lock, read_record

CHECKPOINT = Path("checkpoints") / "last.ckpt"
LEFT_BY_DDP = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PL_")


@dataclass(frozen=True)
class Program:
    """How the command was started: argv[0], and what stands before the settings (`backbone`, `--config-dir DIR`)."""

    path: str
    words: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        return f"mcnet_lightning.{Path(self.path).stem.removeprefix('mcnet-')}"


@contextmanager
def swept_job(config: DictConfig, program: Program) -> Iterator[None]:
    """Within it, `config.resume` is the job's own last checkpoint if it has one, and sys.argv its own command line.

    The folder's job.json says `running`, afterwards `complete` or `failed`; after a kill it goes on saying `running`.
    Raises MCNetError if another process runs this job.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    resume = folder / CHECKPOINT
    resume_words = []
    if "resume" in config and resume.is_file():
        config.resume = str(resume)
        resume_words = [f"resume='{resume}'"]
    overrides = list(HydraConfig.get().overrides.task)
    with ExitStack() as stack:
        if is_first_process():
            stack.enter_context(_recorded(config, folder, overrides))
        stack.enter_context(_own_command(program, [*overrides, *resume_words], folder))
        yield


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


@contextmanager
def _own_command(program: Program, overrides: list[str], folder: Path) -> Iterator[None]:
    """Lightning starts the other processes of DDP by repeating sys.argv in `hydra.run.dir`: without this they would
    run the whole sweep again. Afterwards nothing of DDP is left that the next job could trip over.
    """
    environment = set(os.environ)
    argv, spec = sys.argv, __main__.__spec__
    sys.argv = [program.path, *program.words, *overrides, "hydra.mode=RUN"]
    __main__.__spec__ = importlib.util.find_spec(program.module)
    hydra: Any = HydraConfig.instance().cfg
    with read_write(hydra.hydra.run):
        hydra.hydra.run.dir = str(folder)
    try:
        yield
    finally:
        sys.argv, __main__.__spec__ = argv, spec
        for name in set(os.environ) - environment:
            if name.startswith(LEFT_BY_DDP):
                del os.environ[name]
