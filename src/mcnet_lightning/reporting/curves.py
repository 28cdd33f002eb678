"""Curves: runs that differ in one setting only, and what the figures do along it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from mcnet_lightning.evaluation.records import gains, shown
from mcnet_lightning.reporting.rows import column_of, identity, row_label, scale_label
from mcnet_lightning.reporting.runs import Run
from mcnet_lightning.reporting.tables import Table

AXES = {
    "tolerance": "solver.tolerance",
    "epsilon": "epsilon",
    "epsilon_rms": "epsilon_rms",
    "epsilon_levels": "epsilon_levels",
    "beta": "beta",
    "noise": "perturbation.noise",
}
GAINS = ("gain over backbone", "gain over projection", "headroom")  # columns in dB
SHOWN = ("backbone", "backbone+projection", "mcnet")


class Point(NamedTuple):
    """Means over a dataset's images at one value of the setting."""

    value: float
    psnr: float
    consistency: float
    evaluations: float | None
    gain: float | None = None  # PSNR over the backbone's
    gain_over_projection: float | None = None  # over the projected backbone's
    headroom: float | None = None


@dataclass
class Curve:
    label: str
    points: list[Point]


def curves(runs: Iterable[Run], axis: str) -> list[Curve]:
    """The methods along the setting `axis`, one curve for runs that agree in everything else; two points at least."""
    key = AXES[axis]
    groups: dict[tuple[Any, ...], Curve] = {}
    for run in runs:
        value = run.l2_epsilon if axis == "epsilon" else run.settings.get(key)
        if value is None or (run.perturbed and axis != "noise") or _otherwise_perturbed(run):
            continue
        means = list(run.means())
        for record in means:
            if record.method not in SHOWN or (record.method != "mcnet" and axis in ("tolerance", "beta")):
                continue
            protocol = record.protocol.split("+")[0]
            same = (*column_of(record), protocol, record.method, identity(run, record.method, without=(key,)))
            label = f"{record.dataset} {scale_label(column_of(record))}, {row_label(run, record.method)}"
            over = (*gains(record, means), record.headroom)
            point = Point(float(value), record.headline, record.consistency, record.evaluations, *over)
            groups.setdefault(same, Curve(label, [])).points.append(point)
    for curve in groups.values():
        curve.points = sorted({point.value: point for point in curve.points}.values())
    return [curve for curve in groups.values() if len(curve.points) > 1]


def curve_table(axis: str, found: list[Curve]) -> Table:
    """The points of the curves as a table."""
    headings = ["method", axis, "PSNR", *GAINS, "consistency", "evaluations"]
    table = Table(f"curve_{axis}", f"Means over the images against {AXES[axis]}.", headings)
    for curve in found:
        for point in curve.points:
            evaluations = "" if point.evaluations is None else f"{point.evaluations:.1f}"
            over = _decibels(point.gain, point.gain_over_projection, point.headroom)
            figures = [shown(point.psnr, ".3f"), *over, f"{point.consistency:.2e}", evaluations]
            table.rows.append([curve.label, f"{point.value:g}", *figures])
    return table


def robustness_table(runs: Iterable[Run]) -> Table:
    """PSNR under every perturbation, next to the clean measurement's, one column per method."""
    headings = ["dataset", "scale", "protocol", "network", *SHOWN, *GAINS, "consistency of mcnet"]
    table = Table("robustness", "PSNR in dB where LR is not what the methods assume.", headings)
    for run in sorted(runs, key=lambda run: run.perturbed):
        means = {(record.dataset, record.method): record for record in run.means()}
        for dataset in dict.fromkeys(dataset for dataset, _ in means):
            found = {method: means.get((dataset, method)) for method in SHOWN}
            backbone, mcnet = found["backbone"], found["mcnet"]
            if backbone is None or mcnet is None:
                continue
            table.rows.append(
                [
                    dataset,
                    scale_label(column_of(mcnet)),
                    mcnet.protocol,
                    row_label(run, "backbone"),
                    *("" if record is None else shown(record.headline, ".3f") for record in found.values()),
                    *_decibels(*gains(mcnet, list(means.values())), mcnet.headroom),
                    f"{mcnet.consistency:.1e}",
                ]
            )
    return table


def _decibels(gain: float | None, over_projection: float | None, headroom: float | None) -> list[str]:
    """The columns GAINS; empty where the records do not say."""
    signed = [shown(value, "+.3f") for value in (gain, over_projection)]
    return [*signed, shown(headroom, ".3f")]


def _otherwise_perturbed(run: Run) -> bool:
    return bool(run.settings.get("perturbation.jpeg") or run.settings.get("perturbation.operator"))
