"""Which picture is at work, how much of it is done, and how long the rest will take: a line for each, and in a terminal
a bar below them.
"""

import math
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from mcnet_lightning.errors import printable
from mcnet_lightning.imaging.pillow_images import FORMATS, orientation_of

USUAL_EVALUATIONS = 15
QUIET = 10.0  # seconds after which the next tile is worth a line where there is no bar
TURNED = 5  # EXIF orientations from here on swap the sides


class Lines:
    """Of several pictures, one after another; their work is taken to go with their pixels.

    sizes: (width, height) of each, None where a file does not tell.
    """

    def __init__(self, paths: Sequence[Path], title: str, factor: int = 1) -> None:
        self.names, self.title, self.factor = [printable(path.name) for path in paths], title, factor
        self.sizes = [picture_size(path) for path in paths]
        known = [width * height for width, height in filter(None, self.sizes)]
        usual = sum(known) / len(known) if known else 1.0
        self.work = [float(size[0] * size[1]) if size else usual for size in self.sizes]
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.index, self.made, self.spent = -1, 0.0, 0.0
        self.begun = self.said = time.monotonic()
        self.first_tile = 0.0

    def __enter__(self) -> "Lines":
        if self.console.is_terminal:
            self.bar = Progress(TextColumn("{task.description}"), BarColumn(), console=self.console, transient=True)
            self.bar.start()
            self.bar.add_task("", total=1.0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()

    def start(self, index: int) -> None:
        """Says which picture is next, how large it is and will be, and how long all that is left will take."""
        self.index, self.begun = index, time.monotonic()
        width, height = self.sizes[index] or (0, 0)
        large = f", {width} x {height}" if width else ""
        if large and self.factor > 1:
            large += f" to {width * self.factor} x {height * self.factor}"
        self._say(f"{self.title} {index + 1} of {len(self.names)}, {self.names[index]}{large}{self._left(index)}")

    def note(self, path: Path, sentence: str | None) -> None:
        """Says what there is to know of a picture, if there is anything."""
        if sentence:
            self._say(printable(f"  {path.name}: {sentence}"))

    def finish(self, made: bool) -> None:
        """Counts the picture; after the first one that was made, says what the others will take."""
        if not made:
            return
        first = self.made == 0
        self.spent += time.monotonic() - self.begun
        self.made += self.work[self.index]
        if first and self.index + 1 < len(self.names):
            self._say(f"{self.names[self.index]} took {spell(self.spent)}{self._left(self.index + 1)}")

    def tile(self, done: int, count: int) -> None:
        """Of the backbone, which does most of the work of a large picture."""
        now = time.monotonic()
        if done <= 1:
            self.first_tile = now
            self.said = now
        elif self.bar is None and now - self.said >= QUIET:
            left = (now - self.first_tile) / (done - 1) * (count - done)
            self._say(f"  {self.names[self.index]}: tile {done} of {count}, about {spell(left)} left for them")
            self.said = now
        if self.bar is not None:
            said = f"tile {done} of {count}" if count > 1 else self.names[self.index]
            self.bar.update(self.bar.task_ids[0], description=said, completed=done / max(count, 1))

    def evaluation(self, number: int) -> None:
        """Of the layer, which comes after the backbone; how many it takes is seen at the end."""
        said, now = f"{self.names[self.index]}: the layer, evaluation {number}", time.monotonic()
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], description=said, completed=solved(number))
        elif number == 1:
            self.said = now
        elif now - self.said >= QUIET:
            self._say(f"  {said} of {USUAL_EVALUATIONS} or so")
            self.said = now

    def _left(self, start: int) -> str:
        if not self.made:
            return ""
        return f", about {spell(self.spent / self.made * sum(self.work[start:]))} left"

    def _say(self, line: str) -> None:
        if self.bar is not None:
            self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)


def solved(number: int) -> float:
    """What share of a solve is done before that evaluation, as solves usually go."""
    return 1 - math.exp(-2 * (number - 1) / USUAL_EVALUATIONS)


def spell(seconds: float) -> str:
    """A time as one says it: 40 s, 3 min, 1.5 h."""
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5940 else f"{seconds / 3600:.1f} h"


def picture_size(path: Path) -> tuple[int, int] | None:
    """(width, height) upright, from the head of the file; None where Pillow cannot tell, or what is there is no file: a
    pipe would be waited for.
    """
    if not os.path.isfile(path):
        return None
    with suppress(Exception), Image.open(path, formats=FORMATS) as picture:  # decoders fail in every way there is
        width, height = picture.size
        unsaid = picture.format == "PNG" and "exif" not in picture.info  # or behind the pixels, which would be decoded
        return (width, height) if unsaid or orientation_of(picture) < TURNED else (height, width)
    return None
