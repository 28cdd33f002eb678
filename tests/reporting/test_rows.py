"""Rows, their names, and the refusal to mix."""

from pathlib import Path
from typing import Any

import pytest
from run_folders import PSNR, make_run

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.reporting.rows import backbone_label, build_rows
from mcnet_lightning.reporting.runs import read_runs


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": "standard"},
        {"operator": "bicubic-x2-symmetric"},
        {"protocol": "paper-float"},
    ],
)
def test_protocols_and_operators_do_not_share_a_column(tmp_path: Path, other: dict[str, Any]) -> None:
    make_run(tmp_path / "one")
    make_run(tmp_path / "two", **other)
    with pytest.raises(ConfigError, match=r"one \(paper, .* and two \(.*cannot be compared; report them apart"):
        build_rows(read_runs([tmp_path]))


def test_other_columns_may_have_another_operator(tmp_path: Path) -> None:
    make_run(tmp_path / "x2")
    make_run(tmp_path / "x3", {"scale": 3}, operator="bicubic-x3-truncated")
    rows = build_rows(read_runs([tmp_path]))
    assert len(rows) == len(PSNR)
    assert all(len(row.cells) == 2 for row in rows)


def test_rows_of_the_same_name_show_the_settings_in_which_they_differ(tmp_path: Path) -> None:
    for tolerance in (1e-4, 1e-6):
        make_run(tmp_path / f"{tolerance:g}", {"solver": {"tolerance": tolerance}})
    labels = [row.label for row in build_rows(read_runs([tmp_path]))]
    assert labels == [
        "Bicubic",
        "SRCNN (ours)",
        "SRCNN (ours) + projection",
        "MCNet+SRCNN (ours), solver.tolerance=0.0001",
        "MCNet+SRCNN (ours), solver.tolerance=1e-06",
    ]


def test_the_later_of_two_equal_runs_counts(tmp_path: Path) -> None:
    import os

    old, new = make_run(tmp_path / "a_new"), make_run(tmp_path / "b_old", psnr={"bicubic": (1.0, 1.0, 1.0)})
    os.utime(new / "metrics.csv", (1, 1))
    (row, *_) = build_rows(read_runs([tmp_path]))
    assert row.cells["Set5", 2].folder == old.resolve()


@pytest.mark.parametrize(
    ("settings", "label", "published"),
    [
        ({"backbone": {"name": "srcnn", "weights": "official"}}, "MCNet+SRCNN (official)", "MCNet+SRCNN"),
        (
            {"backbone": {"name": "rcan"}, "layer": {"weights": "some/my_x2.ckpt"}},
            "MCNet+RCAN (compact, ours), layer my",
            "MCNet+RCAN",
        ),
        ({"layer": {"weights": "bundled:paper"}}, "MCNet+SRCNN (ours), layer paper", "MCNet+SRCNN"),
        ({"backbone": {"name": "spandrel", "weights": "w/dctlsa_x2.pth"}}, "MCNet+spandrel (dctlsa)", None),
        ({"backbone": {"name": "precomputed", "root": "sr/RDN/Set5/x2"}}, "MCNet+RDN (pictures)", "MCNet+RDN"),
        ({"optimiser": {"learning_rate": 1e-4}}, "MCNet+SRCNN (ours), trained layer", "MCNet+SRCNN"),
    ],
)
def test_labels_say_whose_weights(tmp_path: Path, settings: dict[str, Any], label: str, published: str | None) -> None:
    make_run(tmp_path / "run", settings)
    row = build_rows(read_runs([tmp_path]))[-1]
    assert (row.label, row.published) == (label, published)


def test_pictures_of_an_unknown_network_are_named_by_their_folder() -> None:
    assert backbone_label({"backbone.name": "precomputed", "backbone.root": "a/SwinIR"}) == "SwinIR (pictures)"
    networks = ("rcan", "rdn:a/big.pt", "precomputed:a/SwinIR", "bicubic")
    several = backbone_label({"backbone.name": "several", "backbone.networks": networks})
    assert several == "RCAN (compact, ours) + RDN (big) + SwinIR (pictures) + bicubic"


def test_plug_and_play_is_named_by_its_denoiser(tmp_path: Path) -> None:
    make_run(tmp_path / "run", {"pnp": {"weights": "w/dncnn_gray_sigma15.pth"}}, psnr={"pnp": (38.0, 40.0, 32.0)})
    (row,) = build_rows(read_runs([tmp_path]))
    assert (row.label, row.published) == ("PnP (denoiser dncnn_gray_sigma15)", "PnP")
