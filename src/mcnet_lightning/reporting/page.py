"""The page: one HTML file with everything inside, which opens from disk without a network."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from PIL import Image

from mcnet_lightning.reporting.crops import Pictured
from mcnet_lightning.reporting.tables import Table

TEMPLATES = Path(__file__).parent / "templates"
MOST_PICTURES = 12  # images with a slider on one page; each costs a few hundred kB
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
    "SSIM": ".4f",
    "consistency": ".2e",
    "evaluations": ".1f",
    "seconds": ".2f",
}


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
        template = environment.get_template("page.html")
        return template.render(
            page=self,
            style=(TEMPLATES / "page.css").read_text(),
            script=(TEMPLATES / "page.js").read_text(),
            run_columns=list(RUN_COLUMNS),
            run_rows=[_run_cells(row) for row in self.runs],
            crops=[(caption, _picture_uri(picture)) for caption, picture in self.crops],
            sliders=[_slider(item) for item in self.sliders[:MOST_PICTURES]],
        )


def _run_cells(row: dict[str, Any]) -> list[tuple[str, str]]:
    """What a cell shows and what it is sorted by."""
    cells = []
    for name, form in RUN_COLUMNS.items():
        value = row[name]
        cells.append(("", "") if value is None else (f"{value:{form}}", str(value)))
    return cells


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
    return _uri(path.read_bytes())


def _picture_uri(picture: Image.Image) -> str:
    picture.save(file := io.BytesIO(), format="PNG", optimize=True)
    return _uri(file.getvalue())


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
