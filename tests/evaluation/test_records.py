"""metrics.csv: rows of this version and of earlier ones, what they say of b, and the table that is printed of them."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.evaluation.records import (
    ADDED,
    COLUMNS,
    Record,
    gains,
    headroom_sentence,
    read_metrics,
    stated_measurement,
)
from mcnet_lightning.evaluation.tables import print_ladder, with_means, write_metrics

FIRST = Record("paper-midpoint", "bicubic-x2-truncated", "Set5", 2, "srcnn", "backbone", "baby", 37.0, 0.9, 0.3, 54.0)
RECORDS = [
    replace(FIRST, headroom=0.04),
    replace(FIRST, method="backbone+projection", psnr_y=37.2, consistency=1e-5, epsilon=0.1, headroom=0.04),
    replace(
        FIRST, method="mcnet", psnr_y=37.1, evaluations=110.0, residual=1e-6, seconds=120.5, epsilon=0.1, headroom=0.04
    ),
]


def test_rows_come_back_with_their_epsilon_and_headroom(tmp_path: Path) -> None:
    records = with_means([*RECORDS, *(replace(row, image="bird", headroom=0.06) for row in RECORDS)])
    write_metrics(tmp_path / "metrics.csv", records)
    assert read_metrics(tmp_path / "metrics.csv") == records
    means = [row for row in records if row.image == "mean"]
    assert [row.headroom for row in means] == pytest.approx([0.05] * 3)
    assert [row.epsilon for row in means] == [None, 0.1, 0.1]


def test_runs_of_earlier_versions_are_read_without_the_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write_metrics(path, RECORDS)
    rows = list(csv.DictReader(path.open()))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [name for name in COLUMNS if name not in ADDED], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    assert read_metrics(path) == [replace(row, epsilon=None, headroom=None) for row in RECORDS]
    path.write_text(path.read_text().replace("consistency", "other"))
    with pytest.raises(DataError, match="no column 'consistency'"):
        read_metrics(path)


def test_gains_are_over_the_raw_and_over_the_projected_backbone() -> None:
    assert gains(RECORDS[2], RECORDS) == (pytest.approx(0.1), pytest.approx(-0.1))
    assert gains(RECORDS[2], RECORDS[2:]) == (None, None)
    assert headroom_sentence(RECORDS).endswith("0.040 dB on Set5.")
    assert headroom_sentence([FIRST]) == ""


def test_which_b_is_said_in_words() -> None:
    assert stated_measurement("paper-midpoint+noise2") == "b: the middle of each rounding interval of LR"
    assert stated_measurement("paper") == "b: LR as it is, rounded to 8 bit"
    assert stated_measurement("standard-float") == "b: LR as it is, not rounded"


def test_table_fits_80_columns_and_says_everything_fair() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_ladder(with_means(RECORDS), console, label="RCAN (compact, ours)")
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, printed.splitlines())) <= 80
    for part in ("+0.100 -0.100", "headroom, what a perfect b could add to the backbone at most: 0.040 dB"):
        assert part in printed
    for whole in ("backbone+projection", "1.00e-05", "0.9000", "110.0", "120.50", "protocol paper-midpoint"):
        assert whole in printed
    with pytest.raises(ConfigError, match="different protocols"):
        print_ladder(with_means([*RECORDS, replace(FIRST, protocol="paper")]), console)
