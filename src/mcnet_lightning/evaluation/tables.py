"""metrics.csv and the printed ladder."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcnet_lightning.errors import ConfigError, printable
from mcnet_lightning.evaluation.records import (
    COLUMNS,
    MEAN,
    Record,
    finite,
    gains,
    shown,
    stated_measurement,
)
from mcnet_lightning.files import write_csv

FIGURES = (
    "psnr_y",
    "ssim_y",
    "consistency",
    "lr_psnr",
    "evaluations",
    "residual",
    "seconds",
    "epsilon",
    "headroom",
)
COMPARED = ("psnr_y", "lr_psnr", "headroom")  # whose means are over the same images for every method
WIDTH = 80


def with_means(records: Sequence[Record]) -> list[Record]:
    """The records, and after those of each dataset and method their mean.

    An image that one method makes without error has no finite PSNR: it leaves the means in decibels of all methods, as
    means over different images must not be compared. Where no image would be left, all stay.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.dataset, record.method), []).append(record)
    left_out = {
        (record.dataset, name, record.image)
        for record in records
        for name in COMPARED
        if math.inf in (record.psnr_y, getattr(record, name))
    }
    return [row for group in groups.values() for row in [*group, _mean(group, left_out)]]


def _mean(group: list[Record], left_out: set[tuple[str, str, str]]) -> Record:
    def average(name: str) -> float | None:
        values = [(getattr(record, name), (record.dataset, name, record.image) in left_out) for record in group]
        if any(value is None for value, _ in values):
            return None
        counted = [value for value, out in values if not out and not (name == "ssim_y" and math.isnan(value))]
        counted = counted or [value for value, _ in values]
        return math.fsum(counted) / len(counted)

    figures: dict[str, Any] = {name: average(name) for name in FIGURES}
    return replace(group[0], image=MEAN, **figures)


def write_metrics(path: Path, records: Iterable[Record]) -> None:
    """Writes the complete table under its final name in one step: a run without metrics.csv is not finished."""
    write_csv(path, COLUMNS, ({name: _text(value) for name, value in asdict(record).items()} for record in records))


def _text(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return value


def print_ladder(records: Sequence[Record], console: Console | None = None, label: str | None = None) -> None:
    """One table per dataset: means over images (residual: the worst), best PSNR in bold. `label`: of the backbone.

    Raises ConfigError rather than mix protocols, operators or backbones.
    """
    kinds = {(record.protocol, record.operator, record.scale, record.backbone) for record in records}
    if len(kinds) != 1:
        raise ConfigError(f"these records are of different protocols, operators or backbones: {sorted(kinds)}")
    protocol, operator, scale, backbone = kinds.pop()
    console = console or _console()
    for dataset in dict.fromkeys(record.dataset for record in records):
        rows = [record for record in records if record.dataset == dataset]
        images = {record.image for record in rows if record.image != MEAN}
        count = f"{len(images)} image{'s' * (len(images) != 1)}"
        title = f"{dataset} ({count})  x{scale}  {label or backbone}  protocol {protocol}\n{operator}"
        means = {record.method: record for record in rows if record.image == MEAN}
        table = Table(
            title=Text(printable(title)),
            caption=_caption(protocol, list(means.values())),
            box=SIMPLE_HEAD,
            pad_edge=False,
            padding=0,
        )
        table.add_column("method", no_wrap=True)
        for heading in ("PSNR", "gain", "over\nproj.", "SSIM", "||Ax-b||", "evals", "residual", "s"):
            table.add_column(heading, justify="right", no_wrap=True)
        best = max(record.psnr_y for record in means.values())
        for method, record in means.items():
            worst = max((r.residual for r in rows if r.method == method and r.residual is not None), default=None)
            cells = _cells(record, gains(record, list(means.values())), worst)
            table.add_row(*cells, style="bold" if record.psnr_y == best else "")
        console.print(table)


def _caption(protocol: str, means: Sequence[Record]) -> str:
    lines = [f"gain: over the backbone; {stated_measurement(protocol)}"]
    room = next((room for record in means if (room := finite(record.headroom)) is not None), None)
    if room is not None:
        lines.append(f"headroom, what a perfect b could add to the backbone at most: {room:.3f} dB")
    return "\n".join(lines)


def _console() -> Console:
    """Standard output; as wide as the table where it is a file or pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def _cells(record: Record, over: tuple[float | None, float | None], worst: float | None) -> list[str]:
    return [
        record.method,
        shown(record.psnr_y, ".3f"),
        *(shown(gain, "+.3f") for gain in over),
        shown(record.ssim_y, ".4f"),
        f"{record.consistency:.2e}",
        shown(record.evaluations, ".1f"),
        shown(worst, ".0e"),
        f"{record.seconds:.2f}",
    ]
