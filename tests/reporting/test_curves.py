"""Curves join runs that differ in one setting only."""

from pathlib import Path
from typing import Any

from run_folders import PSNR, make_run

from mcnet_lightning.evaluation.records import SETTLED
from mcnet_lightning.reporting.curves import curve_table, curves, robustness_table
from mcnet_lightning.reporting.report import write_report
from mcnet_lightning.reporting.rows import build_rows
from mcnet_lightning.reporting.runs import read_runs

GAINS_OF_MCNET = {"gain over backbone": "+0.800", "gain over projection": "+0.600", "headroom": "0.200"}


def test_tolerance_curve_joins_what_differs_in_tolerance_only(tmp_path: Path) -> None:
    for beta in (0.02, 0.05):
        for tolerance in (1e-4, 1e-6, 1e-5):
            make_run(tmp_path / f"{beta}_{tolerance}", {"beta": beta, "solver": {"tolerance": tolerance}})
    make_run(tmp_path / "alone", {"epsilon": 0.1})
    runs = read_runs([tmp_path])
    found = curves(runs, "tolerance")
    assert [[point.value for point in curve.points] for curve in found] == [[1e-6, 1e-5, 1e-4]] * 2
    assert len(curves(runs, "beta")) == 3  # one for each tolerance


def test_beta_that_was_left_to_the_run_is_the_one_it_took(tmp_path: Path) -> None:
    for beta in (0.02, 0.05):
        make_run(tmp_path / f"{beta}", {"beta": beta})
    for name in ("told", "earlier"):
        make_run(tmp_path / name, {"beta": "auto"})
    (tmp_path / "told" / SETTLED).write_text("beta: 0.1\n")
    runs = read_runs([tmp_path])
    assert {run.name: run.settings["beta"] for run in runs} == {
        "0.02": 0.02,
        "0.05": 0.05,
        "told": 0.1,
        "earlier": None,
    }
    assert [[point.value for point in curve.points] for curve in curves(runs, "beta")] == [[0.02, 0.05, 0.1]]
    assert any(path.name == "index.html" for path in write_report([str(tmp_path)], tmp_path / "page", 0))


def test_a_curve_s_table_says_what_is_gained_over_what(tmp_path: Path) -> None:
    for beta in (0.02, 0.05):
        make_run(tmp_path / f"{beta}", {"beta": beta})
    without = {method: PSNR[method] for method in ("backbone", "mcnet")}
    for beta in (0.02, 0.05):
        make_run(tmp_path / f"{beta}_bare", {"beta": beta, "seed": 1, "solver": {"tolerance": 1e-6}}, psnr=without)
    table = curve_table("beta", curves(read_runs([tmp_path]), "beta"))
    rows = [dict(zip(table.headings, row, strict=True)) for row in table.rows]
    assert [row["beta"] for row in rows] == ["0.02", "0.05"] * 2
    for row in rows[:2]:
        assert {key: row[key] for key in GAINS_OF_MCNET} == GAINS_OF_MCNET
    assert [row["gain over projection"] for row in rows[2:]] == ["", ""]


def test_epsilon_curve_has_projection_and_mcnet(tmp_path: Path) -> None:
    for epsilon in (0.0, 0.1):
        make_run(tmp_path / f"{epsilon}", {"epsilon": epsilon}, consistency=epsilon)
    found = curves(read_runs([tmp_path]), "epsilon")
    labels = [curve.label for curve in found]
    assert "Set5 x2, MCNet+SRCNN (ours)" in labels
    assert "Set5 x2, SRCNN (ours) + projection" in labels
    mcnet = found[labels.index("Set5 x2, MCNet+SRCNN (ours)")]
    assert [point.consistency for point in mcnet.points] == [0.0, 0.1]


def test_perturbed_runs_stand_in_the_robustness_table(tmp_path: Path) -> None:
    make_run(tmp_path / "clean", {"perturbation": {"noise": 0.0, "jpeg": None, "operator": None}})
    make_run(
        tmp_path / "noisy",
        {"perturbation": {"noise": 2.0, "jpeg": None, "operator": None}},
        protocol="paper+noise2",
        psnr={method: [value - 1 for value in values] for method, values in PSNR.items()},
    )
    runs = read_runs([tmp_path])
    assert [row[2] for row in robustness_table(runs).rows] == ["paper", "paper+noise2"]
    headings, first = robustness_table(runs).headings, robustness_table(runs).rows[0]
    assert dict(zip(headings, first, strict=True)) | GAINS_OF_MCNET == dict(zip(headings, first, strict=True))
    noise = curves(runs, "noise")
    assert [point.value for point in noise[0].points] == [0.0, 2.0]
    assert not curves(runs, "tolerance")


def test_an_epsilon_that_nobody_gave_is_that_of_0(tmp_path: Path) -> None:
    """Runs of earlier versions have 0 where it is null today, also beside another unit."""
    each: dict[str, dict[str, Any]] = {"null": {"epsilon": None}, "0": {"epsilon": 0.0}}
    for name, settings in each.items():
        make_run(tmp_path / name, settings)
        make_run(tmp_path / f"{name}_levels", {**settings, "epsilon_levels": 0.5}, consistency=0.2)
    runs = read_runs([tmp_path])
    assert [run.epsilon_label for run in runs] == ["0", "0.5 levels", "0", "0.5 levels"]
    labels = [row.label for row in build_rows(runs) if row.method == "mcnet"]
    assert labels == ["MCNet+SRCNN (ours), epsilon=0", "MCNet+SRCNN (ours), epsilon_levels=0.5"]


def test_units_of_epsilon_have_curves_of_their_own(tmp_path: Path) -> None:
    for levels in (0.5, 1.0):
        make_run(tmp_path / f"{levels}", {"epsilon_levels": levels})
    make_run(tmp_path / "noise", {"epsilon": "noise"})
    make_run(tmp_path / "l2", {"epsilon": 0.0})
    runs = read_runs([tmp_path])
    assert not curves(runs, "epsilon")  # the key epsilon is 0 in all but one of them, and means it in one
    found = curves(runs, "epsilon_levels")
    assert [[point.value for point in curve.points] for curve in found] == [[0.5, 1.0]] * 3  # the backbone, too
    assert {run.name: run.epsilon_label for run in runs} == {
        "0.5": "0.5 levels",
        "1.0": "1 levels",
        "noise": "noise",
        "l2": "0",
    }
