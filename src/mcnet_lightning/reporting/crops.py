"""Crops side by side: where MCNet changed the backbone's picture most for the better."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mcnet_lightning.errors import DataError
from mcnet_lightning.evaluation.records import FIRST_PROBLEM, Record, finite, shown
from mcnet_lightning.problems.figures import figure
from mcnet_lightning.reporting.rows import column_of, scale_label
from mcnet_lightning.reporting.runs import Run

SIDE, ZOOM, MARGIN, CAPTION = 48, 4, 6, 18


@dataclass(frozen=True)
class Pictured:
    """One test image of one run, with the pictures that there are of it."""

    run: Run
    dataset: str
    image: str
    pictures: dict[str, Path]

    @property
    def title(self) -> str:
        record = next(record for record in self.run.records if record.image == self.image)
        return f"{self.dataset} {self.image}, {scale_label(column_of(record))}, {self.run.name}"

    def record(self, method: str) -> Record | None:
        return self.run.images(self.dataset, method).get(self.image)

    def caption(self, kind: str) -> str:
        """The kind with its headline figure."""
        record = self.record(kind)
        of_first = self.run.problem == FIRST_PROBLEM
        name = {"lr": "LR" if of_first else "measured", "hr": "HR" if of_first else "truth"}.get(kind, kind)
        if record is None:
            return name
        first = figure(next(iter(record.figures)))
        if not first.decibel:
            return f"{name} {shown(record.headline, first.form)}"
        return f"{name} {shown(record.headline, '.2f')}" + ("" if finite(record.headline) is None else " dB")


def pictured(runs: list[Run]) -> Iterator[Pictured]:
    """The images of runs made with pictures=true, for which there is MCNet's picture and another."""
    for run in runs:
        for dataset, image in dict.fromkeys((r.dataset, r.image) for r in run.records if r.image != "mean"):
            kinds = ("lr", *dict.fromkeys(record.method for record in run.records), "hr")
            found = {kind: path for kind in kinds if (path := run.picture(dataset, image, kind)) is not None}
            if "mcnet" in found and len(found) > 1:
                yield Pictured(run, dataset, image, found)


def crop_strip(item: Pictured) -> Image.Image | None:
    """The same square of every picture, enlarged without smoothing, with captions; None without HR and backbone."""
    if not {"hr", "backbone", "mcnet"} <= set(item.pictures):
        return None
    pixels = {kind: _read(path) for kind, path in item.pictures.items()}
    top, left = _most_improved(*(pixels[kind].mean(axis=2) for kind in ("hr", "backbone", "mcnet")))
    panels = [(item.caption(kind), _square(pixels[kind], pixels["hr"].shape, top, left)) for kind in pixels]
    width = SIDE * ZOOM + MARGIN
    strip = Image.new("RGB", (width * len(panels) + MARGIN, SIDE * ZOOM + CAPTION + 2 * MARGIN), "white")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(size=11)
    for number, (caption, panel) in enumerate(panels):
        strip.paste(panel, (MARGIN + number * width, CAPTION + MARGIN))
        draw.text((MARGIN + number * width, MARGIN - 2), caption, fill="black", font=font)
    return strip


def _read(path: Path) -> np.ndarray:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return np.asarray(picture.convert("RGB"), dtype=float)
    except OSError as error:
        raise DataError(f"{path} cannot be read as a picture ({error}); remove the run's pictures/") from None


def _most_improved(hr: np.ndarray, backbone: np.ndarray, mcnet: np.ndarray) -> tuple[int, int]:
    """Top left corner of the square in which the squared error fell most."""
    fall = (backbone - hr) ** 2 - (mcnet - hr) ** 2
    side = min(SIDE, *hr.shape)
    total = np.pad(fall, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(top), int(left)


def _square(pixels: np.ndarray, size: tuple[int, ...], top: int, left: int) -> Image.Image:
    ratio = size[0] / pixels.shape[0]  # LR is smaller
    box = (left / ratio, top / ratio, (left + SIDE) / ratio, (top + SIDE) / ratio)
    picture = Image.fromarray(pixels.round().astype(np.uint8))
    return picture.resize((SIDE * ZOOM, SIDE * ZOOM), Image.Resampling.NEAREST, box=_inside(box, picture.size))


def _inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    return box[0], box[1], min(box[2], size[0]), min(box[3], size[1])
