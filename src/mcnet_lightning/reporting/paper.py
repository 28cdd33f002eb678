"""The tables of the paper with our figures beside the published ones, and the gain that the layer brings."""

import csv
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mcnet_lightning.evaluation.records import OF_FIRST, Record, finite, shown, stated_measurement
from mcnet_lightning.problems.figures import figure
from mcnet_lightning.reporting.rows import Column, Row, identity, scale_label
from mcnet_lightning.reporting.statistics import paired_gain
from mcnet_lightning.reporting.tables import Table

PUBLISHED = Path(__file__).parents[1] / "assets" / "published" / "mcnet2023.csv"
PUBLISHED_PROTOCOL, PUBLISHED_BOUNDARY = "paper", "truncated"
DATASETS = ("Set5", "Set14")


@cache
def published_figures() -> dict[tuple[str, int, str], dict[str, str]]:
    """(method, scale, dataset) -> the figures of Mourya & Mota, ICASSP 2023, as printed."""
    with PUBLISHED.open(newline="") as file:
        return {(row["method"], int(row["scale"]), row["dataset"]): row for row in csv.DictReader(file)}


def published(row: Row, column: Column, figure: str) -> str:
    """The published figure that `row` is to be compared with; empty if there is none, or under another protocol."""
    record = row.mean(column)
    if record is None or record.protocol != PUBLISHED_PROTOCOL or record.scale is None or row.published is None:
        return ""
    if not record.operator.endswith(PUBLISHED_BOUNDARY):
        return ""
    return published_figures().get((row.published, record.scale, column[0]), {}).get(figure, "")


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """Every dataset and scale that was measured: scales ascending, the paper's datasets first."""
    known = {name: place for place, name in enumerate(DATASETS)}
    found = {column for row in rows for column in row.cells}
    return sorted(found, key=lambda column: (str(column[1]), known.get(column[0], len(known)), column[0]))


def consistency_table(rows: Sequence[Row]) -> Table:
    """Table 1: ||A x - b||_2, mean and largest over the images, beside the published mean."""
    headings = ["dataset", "scale", "method", "mean", "largest", "published", "epsilon", "within epsilon"]
    table = Table("table1_consistency", f"Consistency ||A x - b||, {_kind(rows)}.", headings)
    for column in columns_of(rows):
        for row in rows:
            record, images = row.mean(column), row.images(column)
            if record is None:
                continue
            figures = [image.consistency for image in images.values()]
            radii = [row.cells[column].radius(image) for image in images.values()]
            said = published(row, column, "consistency")
            bounded = max(radii, default=0.0) > 0 and row.consistent
            inside = sum(figure <= radius * (1 + 1e-5) for figure, radius in zip(figures, radii, strict=True))
            table.rows.append(
                [
                    column[0],
                    scale_label(column),
                    row.label,
                    f"{record.consistency:.2e}",
                    f"{max(figures):.2e}",
                    f"{float(said):.2e}" if said else "",
                    "" if not row.consistent else row.cells[column].epsilon_label,
                    f"{inside} of {len(figures)}" if bounded else "",
                ]
            )
    return table


def quality_table(rows: Sequence[Row]) -> Table:
    """Table 2: the figures of every method, PSNR in dB and SSIM, beside published ones and the difference to them."""
    datasets = list(dict.fromkeys(dataset for dataset, _ in columns_of(rows)))
    headings, names = ["scale", "method"], _figures(rows)
    for dataset in datasets:
        for place, name in enumerate(names):
            headings += [f"{'' if place else f'{dataset} '}{figure(name).heading}", "published", "difference"]
    quality = "Quality on Y" if names == OF_FIRST else "Quality"
    table = Table("table2_quality", f"{quality}, {_kind(rows)}.", headings)
    for scale in dict.fromkeys(scale for _, scale in columns_of(rows)):
        for row in rows:
            if any((dataset, scale) in row.cells for dataset in datasets):
                cells = [cell for dataset in datasets for cell in _quality(row, (dataset, scale), names)]
                table.rows.append([scale_label(("", scale)), row.label, *cells])
    return table


def gain_table(rows: Sequence[Row], seed: int = 0) -> Table:
    """What MCNet and the methods it is compared with gain over the backbone and over the projected backbone, image by
    image; beside it the headroom, what a perfect b could add to the backbone at most.
    """
    headings = [
        "dataset",
        "scale",
        "method",
        "images",
        "gain over backbone, dB",
        "over backbone + projection, dB",
        "headroom, dB",
        "evaluations, mean",
        "most",
        "largest residual",
    ]
    caption = "Gain in PSNR with 95 % paired bootstrap intervals over the images"
    table = Table("gains", f"{caption} (seed {seed}), {_kind(rows)}.", headings)
    for column in columns_of(rows):
        for row in rows:
            if (row.kind is None or row.kind.compared) and column in row.cells:
                table.rows.append(_gain_cells(rows, row, column, seed))
    return table


def reference(rows: Sequence[Row], row: Row, column: Column, method: str) -> dict[str, Record]:
    """The images of `method` ("backbone", "backbone+projection") that `row` is to be paired with."""
    run = row.cells[column]
    within = run.images(column[0], method)
    if within:
        return within
    wanted = identity(run, method)
    other = next((r for r in rows if r.method == method and r.identity == wanted and column in r.cells), None)
    return {} if other is None else other.images(column)


def _gain_cells(rows: Sequence[Row], row: Row, column: Column, seed: int) -> list[str]:
    images = row.images(column)
    over = ("backbone", "backbone+projection") if row.kind is None or "backbone" in row.kind.settings else ()
    found = {method: paired_gain(images, reference(rows, row, column, method), seed) for method in over}
    gains = [found.get(method) for method in ("backbone", "backbone+projection")]
    evaluations = [image.evaluations for image in images.values() if image.evaluations is not None]
    mean = row.mean(column)
    residuals = [image.residual for image in images.values() if image.residual is not None]
    return [
        column[0],
        scale_label(column),
        row.label,
        str(len(images)),
        *("" if gain is None else str(gain) for gain in gains),
        "" if mean is None else shown(mean.headroom, ".3f"),
        f"{sum(evaluations) / len(evaluations):.1f}" if evaluations else "",
        f"{max(evaluations):.0f}" if evaluations else "",
        f"{max(residuals):.1e}" if residuals else "",
    ]


def _quality(row: Row, column: Column, names: Sequence[str]) -> list[str]:
    record = row.mean(column)
    if record is None:
        return [""] * 3 * len(names)
    cells = []
    for each in map(figure, names):
        value, said = record.figures.get(each.name), published(row, column, each.name)
        difference = shown(finite(value - float(said)), each.signed) if said and value is not None else ""
        cells += [shown(value, each.form), said, difference]
    return cells


def _figures(rows: Sequence[Row]) -> tuple[str, ...]:
    records = [record for row in rows for column in row.cells if (record := row.mean(column)) is not None]
    return tuple(dict.fromkeys(name for record in records for name in record.figures))


def _kind(rows: Sequence[Row]) -> str:
    """The protocol and the operators that the figures stand for."""
    records = [record for row in rows for column in row.cells if (record := row.mean(column)) is not None]
    protocols = sorted({record.protocol for record in records})
    operators = sorted({record.operator for record in records})
    measurements = "; ".join(dict.fromkeys(filter(None, map(stated_measurement, records))))
    about = f"protocol {', '.join(protocols)}, operator {', '.join(operators)}"
    return f"{about}; {measurements}" if measurements else about
