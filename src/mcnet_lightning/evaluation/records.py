"""What a row of metrics.csv is. Imports no torch, so that reports and sweeps read runs at once."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mcnet_lightning.errors import DataError
from mcnet_lightning.files.naming import shortened
from mcnet_lightning.problems.figures import figure

MEAN = "mean"
SETTLED = "settled.yaml"  # of a run's folder: what was found for settings that were left to the run
FIRST_PROBLEM = "super_resolution"  # the only one of earlier versions


@dataclass(frozen=True)
class Record:
    """One row of metrics.csv; `image` is "mean" for the mean over a dataset. Names and order are the file's columns,
    with a column for each of the figures.

    figures: of quality, by name; the first is the headline. NaN, and empty in the file, where one is not defined, such
    as the SSIM of an image smaller than its window.
    """

    protocol: str
    operator: str
    dataset: str
    scale: int | None  # how much smaller b is in each direction; None where that means nothing
    backbone: str
    method: str
    image: str
    figures: Mapping[str, float]
    consistency: float
    lr_psnr: float  # PSNR of A x against b
    evaluations: float | None = None
    residual: float | None = None
    seconds: float = 0.0
    epsilon: float | None = None  # the l2 radius that this image had to keep; None for methods that promise none
    headroom: float | None = None  # dB that a perfect b could add to the backbone's image at most; see `headroom`
    problem: str = FIRST_PROBLEM
    group: str = ""  # of images that are no independent samples, such as slices of one head

    @property
    def headline(self) -> float:
        """The figure that gains are told in."""
        return next(iter(self.figures.values()))


FIXED = [field.name for field in fields(Record) if field.name != "figures"]
ADDED = ("epsilon", "headroom", "problem", "group")  # columns that runs of earlier versions lack
OF_FIRST = ("psnr_y", "ssim_y")  # the figures of super_resolution
ROUNDING = 1e-6  # root mean square of A x - b that float32 may leave


def meets(consistency: float, epsilon: float, values: int) -> bool:
    """Whether ||A x - b||_2 of so many values is within epsilon, but for the rounding of float32. NaN is not."""
    return consistency <= epsilon + ROUNDING * math.sqrt(values)


def stated_measurement(record: Record) -> str:
    """Against which b the consistency of such a record was measured, in words; empty where its problem has but one."""
    if record.problem != FIRST_PROBLEM:
        return ""
    if "-midpoint" in record.protocol:
        return "b: the middle of each rounding interval of LR"
    return f"b: LR as it is, {'not rounded' if '-float' in record.protocol else 'rounded to 8 bit'}"


def gains(record: Record, means: Sequence[Record]) -> tuple[float | None, float | None]:
    """How much better the headline of a mean is than that of the raw backbone and of the projected one, on the same
    dataset; None without it, and where one of the two has no error at all.
    """
    of = {row.method: row for row in means if row.dataset == record.dataset}
    over = (of.get(method) for method in ("backbone", "backbone+projection"))
    backbone, projected = (None if other is None else better(record, other) for other in over)
    return backbone, projected


def better(record: Record, other: Record) -> float | None:
    """By how much the headline of a row is better than another's; None where one of the two has no error at all."""
    name = next(iter(record.figures))
    difference = record.headline - other.headline
    return finite(-difference if figure(name).smaller_is_better else difference)


def columns(names: Iterable[str]) -> list[str]:
    """The columns of a metrics.csv with these figures."""
    place = FIXED.index("consistency")
    return [*FIXED[:place], *names, *FIXED[place:]]


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
    wanted = columns(OF_FIRST if (rows[0].get("problem") or FIRST_PROBLEM) == FIRST_PROBLEM else ())
    missing = [name for name in wanted if name not in rows[0] and name not in ADDED]
    if missing:
        raise DataError(
            f"{path} has no column {missing[0]!r}, so no run of this package wrote it; take it out of runs="
        )
    try:
        return [_record(row) for row in rows]
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); remove the run or make it again") from None


def _record(row: dict[str, str]) -> Record:
    values: dict[str, Any] = {"figures": {name: _number(row[name]) for name in row if name not in FIXED}}
    for field in fields(Record):
        text = row.get(field.name) or ""
        if field.name == "scale":
            values["scale"] = int(text) if text else None
        elif field.type is str:
            values[field.name] = text or (field.default if isinstance(field.default, str) else "")
        elif field.name != "figures":
            values[field.name] = None if text == "" and field.default is None else float(text)
    return Record(**values)


def _number(text: str) -> float:
    return float(text) if text else math.nan
