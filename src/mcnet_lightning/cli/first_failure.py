"""Of several processes that fail together, the first one's sentence is what the user reads, once.

What the others see is only that the connection is gone. The first to fail leaves its words in the run's folder, under a
name that only one of them can make; the others find them there, keep silent, and end with the same exit code.
"""

import json
import os
import socket
import time
import traceback
from contextlib import suppress
from pathlib import Path

from mcnet_lightning.errors import MCNetError

RUN = "MCNET_RUN"  # set by the process that starts the others
NAME = ".failure"
PATIENCE = 1.5  # seconds; Lightning kills the first process up to 5 after another one has gone
AGAIN = "the same command again goes on with what is left"


class FailedElsewhereError(MCNetError):
    """The failure of another process of this run, which has said it."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def name_run() -> None:
    """Gives this run a name that the processes it will start inherit."""
    os.environ.setdefault(RUN, f"{os.getpid()}")


def in_company() -> bool:
    """Whether this is one of several processes, started by Lightning (which takes WORLD_SIZE back) or by Slurm."""
    return "LOCAL_RANK" in os.environ or _of_slurm()


def first_failure(error: Exception, failure: MCNetError | None, folder: Path) -> MCNetError | None:
    """What another process has failed with before this one did; None if this is the first, which is then on record."""
    if not in_company():
        return None
    path = folder / f"{NAME}-{_run()}"
    if failure is None and _is_lost_connection(error):
        return _wait_for(path) or MCNetError(f"another process of this run was ended from outside; {AGAIN}")
    sentence, exit_code = str(failure or error), failure.exit_code if failure else 1
    own = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        own.write_text(json.dumps({"sentence": sentence, "exit_code": exit_code, "traceback": traceback.format_exc()}))
        os.link(own, path)
    except FileExistsError:
        return _read(path)
    except FileNotFoundError:  # the folder has gone, with all that the first to fail has left
        return FailedElsewhereError(sentence, exit_code)
    except OSError:  # nowhere to write
        return None
    finally:
        with suppress(OSError):
            own.unlink()
    return None


def forget_failures(folder: Path) -> None:
    """Removes what failures have left in a folder, once nobody needs it any more."""
    for path in folder.glob(f"{NAME}-*"):
        with suppress(OSError):
            path.unlink()


def _is_lost_connection(error: Exception) -> bool:
    """Whether it says no more than that some other process is not there."""
    import torch.distributed as dist

    kinds = tuple(getattr(dist, name) for name in ("DistBackendError", "DistNetworkError") if hasattr(dist, name))
    return isinstance(error, kinds) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _wait_for(path: Path) -> FailedElsewhereError | None:
    """The record of the process that has gone, which may write it a moment after its connection is closed."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if path.is_file():
            return _read(path)
        time.sleep(0.05)
    return None


def _read(path: Path) -> FailedElsewhereError:
    words = json.loads(path.read_text())
    return FailedElsewhereError(words["sentence"], words["exit_code"])


def _run() -> str:
    step = ".".join(os.environ.get(f"SLURM_{name}", "") for name in ("JOB_ID", "STEP_ID", "RESTART_COUNT"))
    return step if _of_slurm() else os.environ.get(RUN, "")


def _of_slurm() -> bool:
    """Whether srun started several. A plain command in a batch script is alone, whatever the job has asked for."""
    return "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", 1)) > 1
