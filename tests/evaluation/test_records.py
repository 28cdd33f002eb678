"""metrics.csv: rows of this version and of earlier ones, what they say of b, and the table that is printed of them."""

import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.evaluation.records import (
    ADDED,
    OF_FIRST,
    Record,
    columns,
    gains,
    headroom_sentence,
    read_metrics,
    stated_measurement,
)
from mcnet_lightning.evaluation.tables import print_ladder, with_means, write_metrics

OF_BABY = {"psnr_y": 37.0, "ssim_y": 0.9}
FIRST = Record("paper-midpoint", "bicubic-x2-truncated", "Set5", 2, "srcnn", "backbone", "baby", OF_BABY, 0.3, 54.0)


def changed(record: Record, **figures: float) -> Record:
    return replace(record, figures={**record.figures, **figures})


RECORDS = [
    replace(FIRST, headroom=0.04),
    replace(changed(FIRST, psnr_y=37.2), method="backbone+projection", consistency=1e-5, epsilon=0.1, headroom=0.04),
    replace(
        changed(FIRST, psnr_y=37.1),
        method="mcnet",
        evaluations=110.0,
        residual=1e-6,
        seconds=120.5,
        epsilon=0.1,
        headroom=0.04,
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
    rows = list(csv.DictReader(path.read_text().splitlines()))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [name for name in columns(OF_FIRST) if name not in ADDED], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    assert read_metrics(path) == [replace(row, epsilon=None, headroom=None) for row in RECORDS]
    path.write_text(path.read_text().replace("consistency", "other"))
    with pytest.raises(DataError, match="no column 'consistency'"):
        read_metrics(path)


def test_gains_are_over_the_raw_and_over_the_projected_backbone() -> None:
    assert gains(RECORDS[2], RECORDS) == pytest.approx((0.1, -0.1))
    assert gains(RECORDS[2], RECORDS[2:]) == (None, None)
    assert headroom_sentence(RECORDS).endswith("0.040 dB on Set5.")
    assert headroom_sentence([FIRST]) == ""


def test_methods_are_compared_over_the_same_images_where_one_has_no_error() -> None:
    """Backbone 30 and 50 dB, layer 31 dB and exact: over the image that both have a figure of it gains 1 dB, not -9."""
    psnr = {"backbone": (30.0, 50.0), "backbone+projection": (30.5, 60.0), "mcnet": (31.0, math.inf)}
    records = [
        replace(
            changed(row, psnr_y=psnr[row.method][n], ssim_y=(0.8, 1.0)[n]),
            image=image,
            lr_psnr=40.0 + n,
            headroom=2.0 + n,
        )
        for n, image in enumerate(("baby", "flat"))
        for row in RECORDS
    ]
    other = [replace(row, dataset="Set14") for row in RECORDS]
    means = [row for row in with_means([*records, *other]) if row.image == "mean"]
    first = [row for row in means if row.dataset == "Set5"]
    assert [(row.headline, row.lr_psnr, row.headroom) for row in first] == [(30, 40, 2), (30.5, 40, 2), (31, 40, 2)]
    assert [row.figures["ssim_y"] for row in first] == pytest.approx([0.9] * 3)
    assert gains(first[2], means) == (1.0, 0.5)
    assert [row.headline for row in means if row.dataset == "Set14"] == [37.0, 37.2, 37.1]


def test_a_gain_over_or_of_what_has_no_error_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    for exact in (("mcnet",), ("backbone",), ("backbone", "backbone+projection", "mcnet")):
        records = [changed(row, psnr_y=math.inf) if row.method in exact else row for row in RECORDS]
        records = with_means([replace(changed(row, ssim_y=math.nan), headroom=math.nan) for row in records])
        means = [row for row in records if row.image == "mean"]
        assert gains(means[2], means)[0] is None
        assert headroom_sentence(means) == ""
        print_ladder(records)
        printed = capsys.readouterr().out
        assert "exact" in printed
        assert not re.search(r"\b(nan|inf)\b", printed)


def test_which_b_is_said_in_words() -> None:
    said = {name: stated_measurement(replace(FIRST, protocol=name)) for name in ("paper-midpoint+noise2", "paper")}
    assert said["paper-midpoint+noise2"] == "b: the middle of each rounding interval of LR"
    assert said["paper"] == "b: LR as it is, rounded to 8 bit"
    assert stated_measurement(replace(FIRST, protocol="standard-float")) == "b: LR as it is, not rounded"
    assert stated_measurement(replace(FIRST, problem="mri")) == ""


def test_table_fits_80_columns_and_says_everything_fair() -> None:
    console = Console(file=(said := io.StringIO()), width=80)
    print_ladder(with_means(RECORDS), console, label="RCAN (compact, ours)")
    printed = said.getvalue()
    assert max(map(len, printed.splitlines())) <= 80
    for part in ("+0.100 -0.100", "headroom, what a perfect b could add to the backbone at most: 0.040 dB"):
        assert part in printed
    for whole in ("backbone+projection", "1.00e-05", "0.9000", "110.0", "120.50", "protocol paper-midpoint"):
        assert whole in printed
    with pytest.raises(ConfigError, match="different protocols"):
        print_ladder(with_means([*RECORDS, replace(FIRST, protocol="paper")]), console)


def of_mri(method: str, nmse: float) -> Record:
    figures = {"nmse": nmse, "psnr": 30.0, "ssim": 0.8}
    return Record(
        "radial20", "fourier", "siat", None, "unet", method, "a", figures, 1e-6, 90.0, problem="mri", group="head1"
    )


def test_figures_of_other_problems_come_back_with_their_names_and_no_scale(tmp_path: Path) -> None:
    records = with_means([of_mri("backbone", 0.02), of_mri("mcnet", 0.01)])
    write_metrics(tmp_path / "metrics.csv", records)
    header, first, *_ = (tmp_path / "metrics.csv").read_text().splitlines()
    assert ",image,nmse,psnr,ssim,consistency," in header
    assert ",siat,,unet," in first
    assert read_metrics(tmp_path / "metrics.csv") == records
    assert [row.group for row in records] == ["head1", "", "head1", ""]


def test_a_smaller_error_is_a_gain_and_the_best_row() -> None:
    records = with_means([of_mri("backbone", 0.02), of_mri("mcnet", 0.01)])
    means = [row for row in records if row.image == "mean"]
    assert gains(means[1], means) == pytest.approx((0.01, None))
    console = Console(file=(said := io.StringIO()), width=80)
    print_ladder(records, console)
    printed = said.getvalue()
    assert max(map(len, printed.splitlines())) <= 80
    for whole in ("NMSE", "PSNR", "mri", "radial20", "+1.00e-02"):
        assert whole in printed
    with pytest.raises(ConfigError, match="different protocols"):
        print_ladder([*records, *RECORDS])
