"""The table of a sweep: gains over the raw and over the projected backbone, and the headroom where it is known."""

import csv
from pathlib import Path

import pytest
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
