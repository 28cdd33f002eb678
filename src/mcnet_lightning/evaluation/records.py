"""What a row of metrics.csv is. Imports no torch, so that reports and sweeps read runs at once."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mcnet_lightning.errors import DataError
from mcnet_lightning.files.naming import shortened

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
    epsilon: float | None = None  # the l2 radius that this image had to keep; None for methods that promise none
    headroom: float | None = None  # dB that a perfect b could add to the backbone's image at most; see `headroom`


COLUMNS = [field.name for field in fields(Record)]
ADDED = ("epsilon", "headroom")  # columns that runs of earlier versions lack
UNBOUNDED = ("bicubic", "backbone")  # methods that promise no consistency
ROUNDING = 1e-6  # root mean square of A x - b that float32 may leave


def meets(consistency: float, epsilon: float, values: int) -> bool:
    """Whether ||A x - b||_2 of so many values is within epsilon, but for the rounding of float32. NaN is not."""
    return consistency <= epsilon + ROUNDING * math.sqrt(values)


def stated_measurement(protocol: str) -> str:
    """Against which b the consistency of such a protocol's records was measured, in words."""
    if "-midpoint" in protocol:
        return "b: the middle of each rounding interval of LR"
    return f"b: LR as it is, {'not rounded' if '-float' in protocol else 'rounded to 8 bit'}"


def gains(record: Record, means: Sequence[Record]) -> tuple[float | None, float | None]:
    """PSNR of a mean over that of the raw backbone and over the projected one, on the same dataset; None without it,
    and where one of the two has no error at all.
    """
    of = {row.method: row.psnr_y for row in means if row.dataset == record.dataset}
    backbone, projected = (of.get(method) for method in ("backbone", "backbone+projection"))
    return (
        None if backbone is None else finite(record.psnr_y - backbone),
        None if projected is None else finite(record.psnr_y - projected),
    )


def finite(value: float | None) -> float | None:
    """The figure; None where it is not one: the PSNR of an image without error, the SSIM of one below the window."""
    return value if value is not None and math.isfinite(value) else None


def shown(value: float | None, form: str) -> str:
    """A cell of a table: empty where there is no figure, "exact" for an infinite PSNR."""
    if value == math.inf:
        return "exact"
    return "" if finite(value) is None else f"{value:{form}}"


def headroom_sentence(means: Sequence[Record]) -> str:
    """How much a perfect b could add to the backbone, by dataset; empty where no record knows."""
    known = {row.dataset: room for row in means if (room := finite(row.headroom)) is not None}
    if not known:
        return ""
    figures = ", ".join(f"{value:.3f} dB on {dataset}" for dataset, value in known.items())
    return f"Headroom, what a perfect b could add to the backbone at most: {figures}."


def picture_name(dataset: str, image: str, kind: str) -> str:
    """The file, in a run's folder of pictures, of a method, of `hr` or of `lr`."""
    return f"{shortened(f'{dataset}_{image}_{kind}')}.png"


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
    missing = [name for name in COLUMNS if name not in rows[0] and name not in ADDED]
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
        text = row.get(field.name, "") if field.name in ADDED else row[field.name]
        if field.type is str:
            values[field.name] = text
        elif field.type is int:
            values[field.name] = int(text)
        else:
            absent = None if field.default is None else math.nan if field.name == "ssim_y" else ""
            values[field.name] = absent if text == "" and absent != "" else float(text)
    return Record(**values)
