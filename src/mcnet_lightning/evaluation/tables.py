"""metrics.csv and the printed ladder."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcnet_lightning.errors import ConfigError, printable
from mcnet_lightning.evaluation.records import (
    MEAN,
    Record,
    columns,
    finite,
    gains,
    headroom_sentence,
    shown,
    stated_measurement,
)
from mcnet_lightning.files import write_csv
from mcnet_lightning.problems.figures import Figure, figure

AVERAGED = ("consistency", "lr_psnr", "evaluations", "residual", "seconds", "epsilon", "headroom")
COMPARED = ("lr_psnr", "headroom")  # beside figures in decibels: their means are over the same images for every method
SHOWN = 2  # figures in the printed ladder, which has to fit; metrics.csv has them all
WIDTH = 80


def with_means(records: Sequence[Record]) -> list[Record]:
    """The records, and after those of each dataset and method their mean.

    An image that one method makes without error has no finite PSNR: it leaves the means in decibels of all methods, as
    means over different images must not be compared. Where no image would be left, all stay.
    """
    decibels = [name for name in (records[0].figures if records else ()) if figure(name).decibel]
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.dataset, record.method), []).append(record)
    left_out = {
        (record.dataset, name, record.image)
        for record in records
        for name in (*decibels, *COMPARED)
        if math.inf in (record.headline, record.figures[name] if name in decibels else getattr(record, name))
    }
    return [row for group in groups.values() for row in [*group, _mean(group, left_out)]]


def _mean(group: list[Record], left_out: set[tuple[str, str, str]]) -> Record:
    def average(name: str, values: Sequence[float | None], undefined: bool = False) -> float | None:
        """None without one of the values; undefined: whether NaN says that there is no such figure of this image."""
        if any(value is None for value in values):
            return None
        known = [
            (value, (row.dataset, name, row.image))
            for value, row in zip(values, group, strict=True)
            if value is not None
        ]
        counted = [value for value, key in known if key not in left_out and not (undefined and math.isnan(value))]
        counted = counted or [value for value, _ in known]
        return math.fsum(counted) / len(counted)

    figures: dict[str, Any] = {
        name: average(name, [r.figures[name] for r in group], undefined=True) for name in group[0].figures
    }
    others: dict[str, Any] = {name: average(name, [getattr(record, name) for record in group]) for name in AVERAGED}
    return replace(group[0], image=MEAN, group="", figures=figures, **others)


def write_metrics(path: Path, records: Sequence[Record]) -> None:
    """Writes the complete table under its final name in one step: a run without metrics.csv is not finished."""
    names = columns(dict.fromkeys(name for record in records for name in record.figures))
    rows = map(asdict, records)
    write_csv(path, names, [{n: _text(v) for n, v in (row | row.pop("figures")).items()} for row in rows])


def _text(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return value


def print_ladder(records: Sequence[Record], console: Console | None = None, label: str | None = None) -> None:
    """One table per dataset: means over images (residual: the worst), best PSNR in bold. `label`: of the backbone.

    Raises ConfigError rather than mix problems, protocols, operators or backbones.
    """
    kinds = {(r.problem, r.protocol, r.operator, r.scale, r.backbone) for r in records}
    if len(kinds) != 1:
        said = sorted(" ".join(map(str, kind)) for kind in kinds)
        raise ConfigError(f"these records are of different protocols, operators or backbones: {'; '.join(said)}")
    problem, protocol, operator, scale, backbone = kinds.pop()
    figures = [figure(name) for name in list(records[0].figures)[:SHOWN]]
    console = console or _console()
    for dataset in dict.fromkeys(record.dataset for record in records):
        rows = [record for record in records if record.dataset == dataset]
        images = {record.image for record in rows if record.image != MEAN}
        count = f"{len(images)} image{'s' * (len(images) != 1)}"
        what = problem if scale is None else f"x{scale}"
        title = f"{dataset} ({count})  {what}  {label or backbone}  protocol {protocol}\n{operator}"
        means = {record.method: record for record in rows if record.image == MEAN}
        table = Table(
            title=Text(printable(title)),
            caption=_caption(list(means.values())),
            box=SIMPLE_HEAD,
            pad_edge=False,
            padding=0,
        )
        table.add_column("method", no_wrap=True)
        first, *others = (each.heading for each in figures)
        for heading in (first, "gain", "over\nproj.", *others, "||Ax-b||", "evals", "residual", "s"):
            table.add_column(heading, justify="right", no_wrap=True)
        best = (min if figures[0].smaller_is_better else max)(record.headline for record in means.values())
        for method, record in means.items():
            worst = max((r.residual for r in rows if r.method == method and r.residual is not None), default=None)
            cells = _cells(record, figures, gains(record, list(means.values())), worst)
            table.add_row(*cells, style="bold" if record.headline == best else "")
        console.print(table)


def _caption(means: Sequence[Record]) -> str:
    lines = ["gain: over the backbone" + (f"; {said}" if (said := stated_measurement(means[0])) else "")]
    room = next((room for record in means if (room := finite(record.headroom)) is not None), None)
    if room is not None:
        lines.append(f"headroom, what a perfect b could add to the backbone at most: {room:.3f} dB")
    return "\n".join(lines)


def _console() -> Console:
    """Standard output; as wide as the table where it is a file or pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def _cells(
    record: Record, figures: Sequence[Figure], over: tuple[float | None, float | None], worst: float | None
) -> list[str]:
    first, *others = figures
    return [
        record.method,
        shown(record.headline, first.form),
        *(shown(gain, first.signed) for gain in over),
        *(shown(record.figures[each.name], each.form) for each in others),
        f"{record.consistency:.2e}",
        shown(record.evaluations, ".1f"),
        shown(worst, ".0e"),
        f"{record.seconds:.2f}",
    ]


def markdown_ladder(means: Sequence[Record], beta: float) -> list[str]:
    """The means as lines of a model card."""
    first, *others = (figure(name) for name in means[0].figures)
    unit = ", dB" if first.decibel else ""
    said = "; ".join(filter(None, (f"beta {beta:.4f}", stated_measurement(means[0]))))
    rows = [
        f"| {row.dataset} | {row.method} | {shown(row.headline, first.form)} | "
        + " | ".join(shown(gain, first.signed) for gain in gains(row, means))
        + "".join(f" | {shown(row.figures[each.name], each.form)}" for each in others)
        + f" | {row.consistency:.1e} | {shown(row.evaluations, '.1f')} |"
        for row in means
    ]
    headings = ["test set", "method", f"{first.heading}{unit}", "over backbone", "over its projection"]
    headings += [*(each.heading for each in others), "l2 consistency", "evaluations"]
    return [
        f"Protocol {means[0].protocol}, operator {means[0].operator}, {said}. {headroom_sentence(means)}",
        "",
        f"| {' | '.join(headings)} |",
        "|" + "---|" * len(headings),
        *rows,
    ]
