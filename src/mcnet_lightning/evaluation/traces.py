"""traces.csv: how the residual of every solve fell, one row per evaluation of the fixed-point map."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mcnet_lightning.evaluation.ladder import Estimate
from mcnet_lightning.files import write_csv


class Trace(NamedTuple):
    """One row; `evaluation` counts from 1."""

    dataset: str
    image: str
    method: str
    evaluation: int
    residual: float


def trace_rows(dataset: str, image: str, estimate: Estimate) -> list[Trace]:
    """The residuals of the solve behind `estimate`; none for a method that does not record each of its evaluations."""
    assert estimate.stats is not None
    trace = estimate.stats.trace[:, 0]
    residuals = trace[~trace.isnan()].tolist()
    if len(residuals) != int(estimate.stats.evaluations[0]):
        return []
    return [Trace(dataset, image, estimate.method.name, number, value) for number, value in enumerate(residuals, 1)]


def write_traces(path: Path, rows: Iterable[Trace]) -> None:
    """Writes the file under its final name only when complete."""
    write_csv(path, Trace._fields, [row._asdict() | {"residual": f"{row.residual:.6g}"} for row in rows])
