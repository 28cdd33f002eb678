"""The paper's tables from synthetic runs: our figures, the published ones beside them, the gains."""

import csv
import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folders import PSNR, make_run

from mcnet_lightning.reporting.explore import run_rows
from mcnet_lightning.reporting.page import Page
from mcnet_lightning.reporting.paper import consistency_table, gain_table, published_figures, quality_table
from mcnet_lightning.reporting.rows import build_rows
from mcnet_lightning.reporting.runs import read_runs
from mcnet_lightning.reporting.tables import Table


def test_published_figures_are_complete() -> None:
    figures = published_figures()
    assert len(figures) == 2 * 3 * 11
    assert figures["MCNet+SRCNN", 2, "Set5"]["psnr_y"] == "37.2272"
    assert sum(bool(row["consistency"]) for row in figures.values()) == 11


def test_published_figures_are_those_of_the_paper(shared: Path) -> None:
    figures = published_figures()
    with (shared / "paper" / "table2_quality.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for dataset in ("Set5", "Set14"):
                found = figures[row["method"], int(row["scale"]), dataset]
                assert float(found["psnr_y"]) == float(row[f"{dataset.lower()}_psnr"])
                assert float(found["ssim_y"]) == float(row[f"{dataset.lower()}_ssim"])


def test_quality_table_has_the_published_value_and_the_difference(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    table = quality_table(build_rows(read_runs([tmp_path])))
    cells = {row[1]: row[2:] for row in table.rows}
    mean = np.mean(PSNR["mcnet"])
    assert cells["MCNet+SRCNN (ours)"][:3] == [f"{mean:.3f}", "37.2272", f"{mean - 37.2272:+.3f}"]
    assert cells["MCNet+SRCNN (ours)"][3:] == ["0.9000", "0.9623", "-0.0623"]
    assert cells["SRCNN (ours) + projection"][1] == ""


@pytest.mark.parametrize("other", [{"protocol": "standard"}, {"operator": "bicubic-x2-symmetric"}])
def test_nothing_published_beside_another_protocol(tmp_path: Path, other: dict[str, Any]) -> None:
    make_run(tmp_path / "run", **other)
    table = quality_table(build_rows(read_runs([tmp_path])))
    assert all(row[3] == "" for row in table.rows)


def test_consistency_table_counts_the_images_within_epsilon(tmp_path: Path) -> None:
    make_run(tmp_path / "run", {"epsilon": 0.1}, consistency=0.1)
    cells = {row[2]: row for row in consistency_table(build_rows(read_runs([tmp_path]))).rows}
    assert cells["MCNet+SRCNN (ours)"][3:] == ["1.00e-01", "1.00e-01", "2.63e-05", "0.1", "3 of 3"]
    assert cells["SRCNN (ours)"][6:] == ["", ""]


def test_every_image_is_held_against_its_own_radius(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", {"epsilon_levels": 0.5}, consistency=0.1)
    metrics = folder / "metrics.csv"
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["epsilon"] = {"baby": "0.2", "bird": "0.1", "butterfly": "0.05"}.get(row["image"], "")
    with metrics.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    table = consistency_table(build_rows(read_runs([tmp_path])))
    cells = {row[2]: row for row in table.rows}
    assert cells["MCNet+SRCNN (ours)"][6:] == ["0.5 levels", "2 of 3"]
    assert table.caption.endswith("b: LR as it is, rounded to 8 bit.")


def test_gain_is_paired_over_images_and_found_across_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "baselines", psnr={key: PSNR[key] for key in ("backbone", "backbone+projection")})
    make_run(tmp_path / "layer", psnr={"mcnet": PSNR["mcnet"]})
    (row,) = gain_table(build_rows(read_runs([tmp_path]))).rows
    over_backbone = np.subtract(PSNR["mcnet"], PSNR["backbone"])
    over_projection = np.subtract(PSNR["mcnet"], PSNR["backbone+projection"])
    assert row[4].startswith(f"{over_backbone.mean():+.3f} [{over_backbone.min():+.3f}")
    assert row[5].startswith(f"{over_projection.mean():+.3f} [{over_projection.min():+.3f}")
    assert row[6:] == ["0.200", "12.0", "12", "5.0e-06"]


def test_what_has_no_error_has_no_gain_and_leaves_the_tables_without_inf(tmp_path: Path) -> None:
    exact = {**PSNR, "backbone": (38.0, math.inf, 32.0), "mcnet": (38.4, math.inf, math.inf)}
    runs = read_runs([make_run(tmp_path, psnr=exact)])
    rows = build_rows(runs)
    (cells,) = gain_table(rows).rows
    assert cells[4].startswith("+0.400")  # of the one image where both have an error
    pages = [Page("t", [], tables=[quality_table(rows), gain_table(rows)], runs=run_rows(runs)).html()]
    assert not re.search(r">[+-]?(nan|inf)\b", pages[0])
    assert "exact" in pages[0]


def test_the_three_forms_hold_the_same_cells() -> None:
    table = Table("name", "A caption.", ["method", "PSNR, dB"], [["a & b_c | d", "1.0"]])
    assert list(csv.reader(io.StringIO(table.csv())))[1] == ["a & b_c | d", "1.0"]
    assert r"| a & b_c \| d | 1.0 |" in table.markdown()
    assert r"a \& b\_c | d & 1.0 \\" in table.latex()
    assert r"\begin{tabular}{lr}" in table.latex()
