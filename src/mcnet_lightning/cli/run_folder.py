"""One folder, one run: claimed before anything is written into it, for as long as the process lives.

Hydra names a run's folder by the second, and takes it whether or not it is there: two commands of the same second would
write into one. The claim is a lock that the system releases when the process dies, however it dies.
"""

import os
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from mcnet_lightning.cli.first_failure import NAME as FAILURE
from mcnet_lightning.errors import ConfigError, MCNetError
from mcnet_lightning.files import unwritable
from mcnet_lightning.files.writer import is_first_process
from mcnet_lightning.sweeps.record import LOCK, job_lock

ELSEWHERE = "go to another folder, or give one as hydra.run.dir=FOLDER"

_claims: list[FileLock] = []


class ClaimRunFolder(Callback):
    """Settles `hydra.run.dir` before Hydra makes it. Of several processes of one run only the first claims."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        if config.hydra.output_subdir is None or not is_first_process():
            return
        named = any(word.startswith("hydra.run.dir=") for word in config.hydra.overrides.hydra)
        try:
            folder = claim(Path(config.hydra.run.dir), named or "SLURM_STEP_ID" in os.environ)
        except MCNetError as error:  # Hydra would make a warning of it
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(error.exit_code) from None
        with read_write(config):
            config.hydra.run.dir = str(folder)


def claim(folder: Path, named: bool) -> Path:
    """Takes the folder, or, where it was not `named` by the user and is there already, the next free FOLDER_2, _3, ...

    Raises ConfigError if another process runs in it, and DataError if it cannot be written.
    """
    try:
        folder = folder if named else _new(folder)
        folder.mkdir(parents=True, exist_ok=True)
        lock = job_lock(folder)
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(f"another process runs in {folder}; wait for it, or choose another hydra.run.dir") from None
    except NotImplementedError:  # a file system without locks
        return folder
    except OSError as error:
        raise unwritable(folder, error, ELSEWHERE) from None
    _claims.append(lock)
    return folder


def release_claims() -> None:
    """For processes that go on to other runs."""
    while _claims:
        _claims.pop().release()


def remove_traces(output_dir: Path) -> None:
    """Deletes the folder of a run that failed before it wrote anything of its own, and empty ones above it."""
    entries = {path.name for path in output_dir.iterdir()} if output_dir.is_dir() else set()
    own = {name for name in entries if name in (".hydra", LOCK) or name.startswith(FAILURE)}
    if ".hydra" not in entries or entries != own or output_dir.resolve() == Path.cwd():
        return
    with suppress(OSError):
        for path in [*(output_dir / ".hydra").iterdir(), *(output_dir / name for name in own - {".hydra"})]:
            path.unlink()
        (output_dir / ".hydra").rmdir()
        for folder in [output_dir, *output_dir.parents]:
            if folder == Path.cwd() or not folder.is_relative_to(Path.cwd()):
                break
            folder.rmdir()  # ends at the first that holds something


def _new(folder: Path) -> Path:
    """The folder itself or the first of FOLDER_2, FOLDER_3, ... that nobody else has made."""
    for number in count(1):
        candidate = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        try:
            candidate.parent.mkdir(parents=True, exist_ok=True)  # a run that was refused may just have removed it
            candidate.mkdir()
        except FileExistsError:
            continue
        return candidate
    raise AssertionError("unreachable")
