"""The table of a sweep: gains over the raw and over the projected backbone, and the headroom where it is known."""

import csv
import io
import math
from pathlib import Path

import pytest
from rich.console import Console
from run_folders import make_run

from mcnet_lightning.sweeps.plan import Job
from mcnet_lightning.sweeps.table import report


@pytest.mark.parametrize("known", [True, False], ids=["now", "a run of an earlier version"])
def test_a_row_says_what_was_gained_over_what(tmp_path: Path, known: bool) -> None:
    folder = make_run(tmp_path / "sweep" / "scale=2")
    if not known:
        with (folder / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        kept = [name for name in rows[0] if name not in ("epsilon", "headroom")]
        with (folder / "metrics.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, kept, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    report([Job(folder, (), {"scale": "2"})], tmp_path / "sweep")
    with (tmp_path / "sweep" / "sweep.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["gain"]) == pytest.approx(37.4667 - 36.6667, abs=1e-3)
    assert float(row["gain_over_projection"]) == pytest.approx(37.4667 - 36.8667, abs=1e-3)
    assert row["headroom"] == ("0.2" if known else "")


@pytest.mark.parametrize("damage", ["cut", "cut at a line", "binary", "empty", "no header", "other columns"])
def test_a_damaged_table_has_no_figures_and_stops_nothing(tmp_path: Path, damage: str) -> None:
    folder = make_run(tmp_path / "sweep" / "scale=2")
    path = folder / "metrics.csv"
    good = path.read_bytes()
    lines = good.split(b"\n", 1)
    path.write_bytes(
        {
            "cut": good[: len(good) * 2 // 3],
            "cut at a line": lines[0] + b"\n",
            "binary": b"\xff" * 50,
            "empty": b"",
            "no header": lines[1],
            "other columns": good.replace(b"psnr_y", b"quality"),
        }[damage]
    )
    report([Job(folder, (), {"scale": "2"})], tmp_path / "sweep")
    with (tmp_path / "sweep" / "sweep.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["scale"] == "2"
    assert row["psnr_y"] == row["gain"] == row["dataset"] == ""


def test_settings_are_shown_as_they_were_typed(tmp_path: Path) -> None:
    console = Console(file=(said := io.StringIO()), width=140)
    settings = {"data.test": "[tiny]", "layer.weights": "[/tmp]x"}
    report([Job(tmp_path / "[bold]" / "q", (), settings)], tmp_path / "[bold]", console)
    printed = said.getvalue()
    assert all(text in printed for text in ("[tiny]", "[/tmp]x", "[bold]"))


def test_a_gain_of_what_has_no_error_is_left_out(tmp_path: Path) -> None:
    psnr = {"backbone": (40.0,), "mcnet": (math.inf,)}
    folder = make_run(tmp_path / "sweep" / "scale=2", psnr=psnr)
    report([Job(folder, (), {"scale": "2"})], tmp_path / "sweep")
    assert "inf" not in (tmp_path / "sweep" / "sweep.csv").read_text()
