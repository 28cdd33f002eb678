"""Of the several processes of one run, the one that writes its files."""

import os


def is_first_process() -> bool:
    """False in all but the first of the processes that Lightning, Slurm or torchrun has started for one run."""
    return all(int(os.environ.get(name, 0)) == 0 for name in ("SLURM_PROCID", "RANK", "LOCAL_RANK"))
