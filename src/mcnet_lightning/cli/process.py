"""Settings of a process: made before torch is imported, or before it starts threads.

Large temporaries go back to the system by default and are then faulted in page by page again, and OpenMP threads that
wait by spinning stop each other when two programs share the cores: a training that took 4 minutes took over 7.
"""

import atexit
import contextlib
import ctypes
import io
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LARGEST = 2**31 - 1
PADDING = 2**28
SPINS = "20000"


def tune_process() -> None:
    """Keeps freed memory in the process (glibc) and lets waiting threads sleep (OpenMP).

    What the environment says already (MALLOC_*_, GOMP_SPINCOUNT, OMP_WAIT_POLICY) is left as it is.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return
    for name, parameter, value in (
        ("MALLOC_MMAP_THRESHOLD_", M_MMAP_THRESHOLD, LARGEST),
        ("MALLOC_TRIM_THRESHOLD_", M_TRIM_THRESHOLD, LARGEST),
        ("MALLOC_TOP_PAD_", M_TOP_PAD, PADDING),
    ):
        if name not in os.environ:
            mallopt(parameter, value)


class _Lasting(io.FileIO):
    """A standard stream that goes on where nobody reads it any more, or where its disk is full."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError:
            return len(content)


def keep_streams_open() -> None:
    """What is printed or logged never ends a command: not into `| head`, a closed terminal or a full disk, and not in
    letters that the terminal does not have. Its files are written all the same.
    """
    logging.raiseExceptions = False  # a log file on a full disk would print a traceback for every line
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed before the command began
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (for as long as the process)
        elif stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):
                stream.flush()
            lasting = io.TextIOWrapper(
                io.BufferedWriter(_Lasting(stream.fileno(), "w", closefd=False)),
                encoding=stream.encoding,
                errors="backslashreplace",
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, lasting)


def settle_matplotlib() -> None:
    """Gives matplotlib a temporary folder where it cannot write into HOME; it would say so between our lines."""
    if "MPLCONFIGDIR" in os.environ:
        return
    places = [os.environ.get("XDG_CONFIG_HOME") or "~/.config", os.environ.get("XDG_CACHE_HOME") or "~/.cache"]
    if all(_can_be_made(Path(os.path.expanduser(place))) for place in places):
        return
    with contextlib.suppress(OSError):
        os.environ["MPLCONFIGDIR"] = folder = tempfile.mkdtemp(prefix="mcnet-matplotlib-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _can_be_made(folder: Path) -> bool:
    """Whether the nearest folder above that is there can be written; rights alone do not tell for root."""
    try:
        with tempfile.TemporaryFile(dir=next(path for path in (folder, *folder.parents) if path.exists())):
            return folder.is_absolute()
    except OSError:
        return False


def end_with_parent() -> None:
    """Has Linux kill this process when the one that started it dies: the other processes of DDP never stay behind."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def flush_subnormals() -> None:
    """Numbers below 1e-38 (float64: 1e-308) become zero: they cost a hundred cycles each and mean nothing here."""
    import torch

    torch.set_flush_denormal(True)
