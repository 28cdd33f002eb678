"""What the experiments share: measure the cells that are missing, then report.

    python experiments/NAME/run.py data.root=DIR [KEY=VALUE ...]

A cell is one `evaluate` run in NAME/runs/. It is skipped if its metrics.csv exists, so an interrupted experiment goes
on where it stopped; to measure a cell again, delete its folder.
"""

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

MODULE = [sys.executable, "-m"]
MISSING = (3, 4)  # exit codes of `evaluate` for data or weights that are not there: the other cells can go on


def measure(folder: Path, cells: Mapping[str, list[str]]) -> list[str]:
    """Runs `evaluate` for every cell that is not there yet; returns the names of those that could not be measured.

    The words of the command line come last, so that they win.
    """
    failed, start = [], time.monotonic()
    for number, (name, words) in enumerate(cells.items(), 1):
        run = folder / "runs" / name
        if (run / "metrics.csv").is_file():
            continue
        print(f"[{number}/{len(cells)}, {time.monotonic() - start:.0f} s] {name}", flush=True)
        command = [*MODULE, "mcnet_lightning.evaluate", *words, *sys.argv[1:], f"hydra.run.dir={run}"]
        code = subprocess.run(command).returncode
        if code not in (0, *MISSING):
            raise SystemExit(code)
        failed += [name] if code else []
    for name in failed:
        print(f"not measured, something it needs is missing (see above): {name}", file=sys.stderr)
    return failed


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
