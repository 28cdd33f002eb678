"""The page: one HTML file with everything inside, which opens from disk without a network."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from PIL import Image

from mcnet_lightning.reporting.crops import Pictured
from mcnet_lightning.reporting.tables import Table

TEMPLATES = Path(__file__).parent / "templates"
WEBP_QUALITY = 80
MOST_PICTURES, MOST_LETTERS = 12, 700_000  # images with a slider on one page, and what they may add to it
BETTER = {"PSNR": 1, "SSIM": 1, "SNR": 1, "NMSE": -1, "gain, dB": 1, "over projection, dB": 1}
RUN_COLUMNS = {
    "run": "",
    "dataset": "",
    "scale": "d",
    "name": "",
    "protocol": "",
    "epsilon": "g",
    "beta": "g",
    "tolerance": "g",
    "PSNR": ".3f",
    "gain, dB": "+.3f",
    "over projection, dB": "+.3f",
    "headroom, dB": ".3f",
    "SSIM": ".4f",
    "NMSE": ".2e",
    "SNR": ".3f",
    "consistency": ".2e",
    "evaluations": ".1f",
    "seconds": ".2f",
}
WORDS = ("run", "dataset", "name", "protocol", "method")  # columns that are read, not compared
SETTINGS = ("dataset", "scale", "protocol", "epsilon", "beta", "tolerance")


@dataclass
class Page:
    """What is on the page, section by section; an empty section is left out."""

    title: str
    about: list[str]
    tables: list[Table] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)  # caption, SVG
    explore: str = ""
    runs: Sequence[dict[str, Any]] = ()
    crops: list[tuple[str, Image.Image]] = field(default_factory=list)
    sliders: list[Pictured] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def html(self) -> str:
        environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
        columns, shared = _columns(self.runs)
        return environment.get_template("page.html").render(
            page=self,
            style=(TEMPLATES / "page.css").read_text(),
            script=(TEMPLATES / "page.js").read_text(),
            links=self._links(),
            aligned=lambda heading: Markup(' class="words"') if heading in WORDS else "",
            run_columns=columns,
            run_shared=shared,
            run_rows=[_run_row(row, columns, _best(self.runs, row)) for row in self.runs],
            crops=[(caption, _picture_uri(picture)) for caption, picture in self.crops],
            sliders=(sliders := _sliders(self.sliders)),
            left_out=len(self.sliders) - len(sliders),
        )

    def _links(self) -> list[tuple[str, str]]:
        """Anchor and title of every section."""
        sections = [
            ("runs", "Runs", self.runs),
            ("explore", "Plots", self.explore),
            ("pictures", "Before and after", self.sliders),
            ("crops", "Crops", self.crops),
            ("figures", "Curves", self.figures),
        ]
        links = [(anchor, title) for anchor, title, content in sections if content]
        return links + [
            (table.name, table.caption.split(",")[0].split(" with ")[0].rstrip(".")) for table in self.tables
        ]


def _columns(rows: Sequence[dict[str, Any]]) -> tuple[list[str], str]:
    """The columns in which something differs, and in words the settings that all rows share."""
    columns = [name for name in RUN_COLUMNS if any(row.get(name) is not None for row in rows)]
    shared = [name for name in columns if name in SETTINGS and len({row.get(name) for row in rows}) == 1]
    words = ", ".join(f"{name} {rows[0][name]:{RUN_COLUMNS[name]}}" for name in shared)
    return [name for name in columns if name not in shared], words


def _best(rows: Sequence[dict[str, Any]], row: dict[str, Any]) -> set[str]:
    """The columns in which none is better of those that were measured alike."""
    alike = [
        other for other in rows if all(other.get(name) == row.get(name) for name in ("dataset", "scale", "protocol"))
    ]
    found = set()
    for name, sign in BETTER.items():
        values = [sign * other[name] for other in alike if other.get(name) is not None]
        if len(values) > 1 and row.get(name) is not None and sign * row[name] == max(values):
            found.add(name)
    return found


def _run_row(row: dict[str, Any], columns: list[str], best: set[str]) -> tuple[str, list[tuple[str, str, bool]]]:
    """Words that the row can be found by; what each cell shows and is sorted by, and whether it is the best."""
    values = [(name, RUN_COLUMNS[name], row.get(name)) for name in columns]
    cells = [
        ("", "", False) if value is None else (f"{value:{form}}", str(value), name in best)
        for name, form, value in values
    ]
    return f"{row['dataset']} {row['where']} {row['protocol']}", cells


def _sliders(items: Sequence[Pictured]) -> list[dict[str, Any]]:
    """As many as the page may hold, one at least."""
    made, letters = list[dict[str, Any]](), 0
    for item in items[:MOST_PICTURES]:
        slider = _slider(item)
        letters += sum(map(len, slider["pictures"].values()))
        if made and letters > MOST_LETTERS:
            break
        made.append(slider)
    return made


def _slider(item: Pictured) -> dict[str, Any]:
    """Pictures of one size, as data URIs, with the pair that is shown first."""
    kinds = [kind for kind in item.pictures if kind != "lr"]
    return {
        "title": item.title,
        "pictures": {kind: _file_uri(item.pictures[kind]) for kind in kinds},
        "captions": {kind: item.caption(kind) for kind in kinds},
        "before": "backbone" if "backbone" in kinds else kinds[0],
        "after": "mcnet",
    }


def _file_uri(path: Path) -> str:
    with Image.open(path, formats=["PNG"]) as picture:
        return _picture_uri(picture)


def _picture_uri(picture: Image.Image) -> str:
    """As WebP that the eye takes for the picture, at a tenth of its size as PNG."""
    picture.convert("RGB").save(file := io.BytesIO(), format="WEBP", quality=WEBP_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
