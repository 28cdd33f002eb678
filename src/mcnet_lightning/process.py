"""Settings of a process: made before torch is imported, or before it starts threads.

Large temporaries go back to the system by default and are then faulted in page by page again, and OpenMP threads that
wait by spinning stop each other when two programs share the cores: a training that took 4 minutes took over 7.
"""

import ctypes
import os
import signal
import sys

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


def end_with_parent() -> None:
    """Has Linux kill this process when the one that started it dies: the other processes of DDP never stay behind."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def is_first_process() -> bool:
    """False in all but the first of the processes that Lightning, Slurm or torchrun has started for one run."""
    return all(int(os.environ.get(name, 0)) == 0 for name in ("SLURM_PROCID", "RANK", "LOCAL_RANK"))


def flush_subnormals() -> None:
    """Numbers below 1e-38 (float64: 1e-308) become zero: they cost a hundred cycles each and mean nothing here."""
    import torch

    torch.set_flush_denormal(True)
