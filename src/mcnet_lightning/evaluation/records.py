"""What a row of metrics.csv is. Imports no torch, so that reports and sweeps read runs at once."""

import csv
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mcnet_lightning.errors import DataError
from mcnet_lightning.naming import shortened

MEAN = "mean"


@dataclass(frozen=True)
class Record:
    """One row of metrics.csv; `image` is "mean" for the mean over a dataset. Names and order are the file's columns.

    ssim_y is NaN, and empty in the file, where the image is smaller than the window.
    """

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


def picture_name(dataset: str, image: str, kind: str) -> str:
    """The file, in a run's folder of pictures, of a method, of `hr` or of `lr`."""
    return f"{shortened(f'{dataset}_{image}_{kind}')}.png"


def read_metrics(path: Path) -> list[Record]:
    """The rows of a metrics.csv, means included. Raises DataError, in one sentence, if it is not one."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
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
            absent = None if field.default is None else math.nan if field.name == "ssim_y" else ""
            values[field.name] = absent if text == "" and absent != "" else float(text)
    return Record(**values)
