"""Reports of several problems: tables apart, each with its own figures; intervals over heads, not over their slices."""

from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from run_folders import make_run

from mcnet_lightning.evaluation.records import Record
from mcnet_lightning.evaluation.tables import with_means, write_metrics
from mcnet_lightning.reporting.paper import gain_table
from mcnet_lightning.reporting.report import write_report
from mcnet_lightning.reporting.rows import build_rows
from mcnet_lightning.reporting.runs import read_runs
from mcnet_lightning.reporting.statistics import bootstrap_mean

PSNR = {"start": 25.0, "tv": 27.0, "backbone": 28.0, "backbone+projection": 28.5, "mcnet": 29.0}


def mri_run(folder: Path, protocol: str = "radial0.2", heads: int = 2) -> Path:
    """Two slices of each head."""
    config = {
        "problem": {"_target_": "mcnet_lightning.problems.mri.MRI"},
        "backbone": {"name": "unet"},
        "epsilon": None,
    }
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(config), folder / ".hydra" / "config.yaml")
    records = []
    for method, psnr in PSNR.items():
        for head in range(heads):
            for number in range(2):
                figures = {"psnr": psnr + head, "ssim": 0.8, "nmse": 0.02}
                row = Record(
                    protocol, "fourier", "siat", None, "unet", method, f"h{head}_{number}", figures, 1e-6, 90.0
                )
                records.append(replace(row, problem="mri", group=f"h{head}", epsilon=1e-3))
    write_metrics(folder / "metrics.csv", with_means(records))
    return folder


def test_tables_of_problems_stand_apart(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "sr")
    mri_run(tmp_path / "runs" / "mri")
    write_report([str(tmp_path / "runs")], tmp_path / "out")
    quality, of_mri = ((tmp_path / "out" / f"table2_quality{end}.md").read_text() for end in ("", "_mri"))
    assert "Set5 PSNR" in quality
    assert "siat" not in quality
    assert "Set5" not in of_mri
    for part in ("siat PSNR", "NMSE", "mri radial0.2", "MCNet+unet", "| TV |", "2.00e-02"):
        assert part in of_mri
    assert "x2" not in of_mri
    assert (tmp_path / "out" / "index.html").is_file()


def test_two_protocols_of_a_problem_are_two_columns(tmp_path: Path) -> None:
    for name in ("radial0.2", "cartesian4"):
        mri_run(tmp_path / name, name)
    columns = {column for row in build_rows(read_runs([tmp_path])) for column in row.cells}
    assert columns == {("siat", "mri radial0.2"), ("siat", "mri cartesian4")}


def test_noise_is_the_epsilon_that_acted_where_none_was_given(tmp_path: Path) -> None:
    (run,) = read_runs([mri_run(tmp_path / "run")])
    assert run.epsilon == {"epsilon": "noise"}


def test_intervals_resample_heads(tmp_path: Path) -> None:
    alone, together = bootstrap_mean([0.0, 0.0, 1.0, 1.0]), bootstrap_mean([0.0, 0.0, 1.0, 1.0], groups=list("aabb"))
    assert together.mean == alone.mean == 0.5
    assert (together.low, together.high) == (0, 1)
    assert alone.low is not None
    assert alone.low > -1e-12
    assert bootstrap_mean([1.0, 2.0], groups=["a", "a"]).low is None
    rows = build_rows(read_runs([mri_run(tmp_path / "run", heads=1)]))
    (gains,) = (row for row in gain_table(rows).rows if row[2] == "MCNet+unet, layer bundled" or row[2] == "MCNet+unet")
    assert gains[4] == "+1.000"  # one head gives no interval


@pytest.mark.parametrize("groups", [None, list("abc")])
def test_groups_of_one_image_are_images(groups: list[str] | None) -> None:
    assert bootstrap_mean([0.1, 0.5, 0.2], 3, groups) == bootstrap_mean([0.1, 0.5, 0.2], 3)
