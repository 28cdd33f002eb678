"""One row per job of a sweep: printed, and kept as sweep.csv."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcnet_lightning.errors import DataError, printable
from mcnet_lightning.evaluation.records import MEAN, finite, gains, read_metrics
from mcnet_lightning.files import write_csv
from mcnet_lightning.problems.figures import figure
from mcnet_lightning.sweeps.plan import Job, outcome
from mcnet_lightning.sweeps.record import read_record

FILE = "sweep.csv"
QUALITY = "psnr_y"  # the column of the headline figure, where none is known by another name
FIGURES = ("dataset", "method", "quality", "gain", "gain_over_projection", "headroom", "consistency", "evaluations")
STYLES = {"complete": "green", "failed": "red", "killed": "yellow", "running": "cyan", "damaged": "red"}
OURS = "mcnet"


def report(jobs: Sequence[Job], sweep_dir: Path, console: Console | None = None) -> None:
    """Prints the table of all jobs and writes SWEEP/sweep.csv. Figures are means over the first test set."""
    rows = [_row(job) for job in jobs]
    name = next((row["figure"] for row in rows if row["figure"]), QUALITY)
    shown = [{name if key == "quality" else key: row[key] for key in row if key != "figure"} for row in rows]
    _write(sweep_dir / FILE, shown)
    swept = list(jobs[0].settings) if jobs else []
    counts = Counter(row["state"] for row in rows)
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    dataset = next((f"; means over {row['dataset']}" for row in rows if row["dataset"]), "")
    table = Table(title=_verbatim(f"{sweep_dir}: {len(rows)} job{'s' * (len(rows) > 1)}, {summary}{dataset}"))
    for heading in [*swept, "state"]:
        table.add_column(_verbatim(heading), no_wrap=True)
    for heading in (figure(name).heading, "gain", "over proj.", "headroom", "||Ax-b||", "evals", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for job, row in zip(jobs, rows, strict=True):
        state = row["state"]
        settings = map(_verbatim, job.settings.values())
        table.add_row(*settings, Text(state, style=STYLES.get(state, "dim")), *_cells(row))
    console = console or Console()
    (console if console.is_terminal else Console(width=140, file=console.file)).print(table)


def _verbatim(text: str) -> Text:
    """What was typed, in which brackets are no markup."""
    return Text(printable(text))


def _row(job: Job) -> dict[str, Any]:
    record = read_record(job.folder)
    row: dict[str, Any] = {"job": job.folder.name, **job.settings, "state": outcome(job)}
    row |= dict.fromkeys((*FIGURES, "figure")) | _figures(job.folder / "metrics.csv")
    return row | {
        "seconds": None if record is None else round(record.seconds, 1),
        "key": None if record is None else record.key,
        "error": None if record is None else record.error,
    }


def _figures(path: Path) -> dict[str, Any]:
    """Means of the layer (else of the last method) over the first test set; `gain` over the backbone alone, and over
    the projected one; `headroom`, what a perfect b could add to the backbone, is missing in earlier runs. None of a
    file that is cut or damaged.
    """
    try:
        means = [record for record in read_metrics(path) if record.image == MEAN] if path.is_file() else []
    except DataError:
        return {}
    means = [record for record in means if record.dataset == means[0].dataset]
    if not means:
        return {}
    chosen = next((record for record in means if record.method == OURS), means[-1])
    gain, over_projection = gains(chosen, means)
    figures = {
        "quality": chosen.headline,
        "gain": gain,
        "gain_over_projection": over_projection,
        "headroom": chosen.headroom,
        "consistency": chosen.consistency,
        "evaluations": chosen.evaluations,
    }
    texts = {name: f"{value:.9g}" for name, figure in figures.items() if (value := finite(figure)) is not None}
    name = next(iter(chosen.figures))
    return {"dataset": chosen.dataset, "method": chosen.method, "figure": name, **texts}


def _cells(row: dict[str, Any]) -> list[str]:
    formats = {
        "quality": ".3f",
        "gain": "+.3f",
        "gain_over_projection": "+.3f",
        "headroom": ".3f",
        "consistency": ".2e",
        "evaluations": ".1f",
        "seconds": ".1f",
    }
    return ["" if row[name] in (None, "") else f"{float(row[name]):{form}}" for name, form in formats.items()]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    if rows and path.parent.is_dir():
        write_csv(path, list(rows[0]), rows)
