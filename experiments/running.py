"""What the experiments share: measure the cells that are not up to date, then report.

    python experiments/NAME/run.py data.root=DIR [KEY=VALUE ...]

A cell is the job NAME/runs/CELL of a sweep of `evaluate`, and the sweep's rule says what is left to do: a job is
complete as long as its settings, pictures, weights and the package's code are those it was measured with. So an
interrupted experiment goes on where it stopped, and what has become stale is moved to runs.superseded and measured
again.
"""

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.errors import MCNetError
from mcnet_lightning.sweeps import Job, prepare
from mcnet_lightning.sweeps.plan import needs_work

MODULE = [sys.executable, "-m"]
MISSING = (3, 4)  # exit codes of `evaluate` for data or weights that are not there: the other cells can go on


def measure(folder: Path, cells: Mapping[str, list[str]]) -> list[str]:
    """Runs `evaluate` for every cell that needs it; returns the names of those that could not be measured.

    The words of the command line come last, so that they win.
    """
    failed, start = [], time.monotonic()
    for number, (name, cell) in enumerate(cells.items(), 1):
        runs, words = folder / "runs", [*cell, *sys.argv[1:]]
        if not _is_left(runs / name, words):
            continue
        print(f"[{number}/{len(cells)}, {time.monotonic() - start:.0f} s] {name}", flush=True)
        place = [f"hydra.sweep.dir={runs}", f"hydra.sweep.subdir={name}"]
        code = subprocess.run([*MODULE, "mcnet_lightning.evaluate", "-m", *words, *place]).returncode
        if code not in (0, *MISSING):
            raise SystemExit(code)
        failed += [name] if code else []
    for name in failed:
        print(f"not measured, something it needs is missing (see above): {name}", file=sys.stderr)
    return failed


def _is_left(folder: Path, words: list[str]) -> bool:
    try:
        return needs_work(prepare(Job(folder, tuple(words), {}), compose_config("evaluate", words)))
    except MCNetError:  # `evaluate` will say it
        return True


def report(runs: Iterable[Path], output: Path) -> None:
    """`report` of the runs that are there."""
    found = [str(run) for run in runs if any(run.rglob("metrics.csv"))]
    if found:
        subprocess.run([*MODULE, "mcnet_lightning.report", f"runs=[{','.join(found)}]", f"output={output}"], check=True)


def experiment(folder: Path, cells: Mapping[str, list[str]]) -> None:
    """Measures and reports into folder/results; exits with 1 if cells are missing."""
    failed = measure(folder, cells)
    report([folder / "runs"], folder / "results")
    raise SystemExit(1 if failed else 0)
