"""What a row of metrics.csv is. Imports no torch, so that reports and sweeps read runs at once."""

import csv
import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mcnet_lightning.errors import DataError

MEAN = "mean"


@dataclass(frozen=True)
class Record:
    """One row of metrics.csv; `image` is "mean" for the mean over a dataset. Names and order are the file's columns."""

    protocol: str
    operator: str
    dataset: str
    scale: int
    backbone: str
    method: str
    image: str
    psnr_y: float
    ssim_y: float
    consistency: float
    lr_psnr: float
    evaluations: float | None = None
    residual: float | None = None
    seconds: float = 0.0


COLUMNS = [field.name for field in fields(Record)]


def read_metrics(path: Path) -> list[Record]:
    """The rows of a metrics.csv, means included. Raises DataError, in one sentence, if it is not one."""
    try:
        text = path.read_bytes().decode()
        if text and not text.endswith("\n"):
            raise DataError(f"{path} is cut off within its last row; remove the run or make it again")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); remove the run or make it again") from None
    if not rows:
        raise DataError(f"{path} holds no row; remove the run or make it again")
    missing = [name for name in COLUMNS if name not in rows[0]]
    if missing:
        raise DataError(
            f"{path} has no column {missing[0]!r}, so no run of this package wrote it; take it out of runs="
        )
    try:
        return [_record(row) for row in rows]
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); remove the run or make it again") from None


def _record(row: dict[str, str]) -> Record:
    values: dict[str, Any] = {}
    for field in fields(Record):
        text = row[field.name]
        if field.type is str:
            values[field.name] = text
        elif field.type is int:
            values[field.name] = int(text)
        else:
            values[field.name] = None if text == "" and field.default is None else float(text)
    return Record(**values)
