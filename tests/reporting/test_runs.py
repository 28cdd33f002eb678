"""Run folders are found at any depth, and what cannot be used is named."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from run_folders import make_run

from mcnet_lightning.errors import DataError
from mcnet_lightning.reporting.runs import read_runs

BOMB = "a: &a [1, 2, 3]\n" + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefg"))


def test_runs_are_found_at_any_depth_and_named_by_what_differs(tmp_path: Path) -> None:
    make_run(tmp_path / "sweep" / "0_scale=2")
    make_run(tmp_path / "sweep" / "1_scale=3", {"scale": 3}, operator="bicubic-x3-truncated")
    (tmp_path / "sweep" / "2_unfinished" / ".hydra").mkdir(parents=True)
    runs = read_runs([tmp_path, tmp_path / "sweep"])
    assert [run.name for run in runs] == ["0_scale=2", "1_scale=3"]
    assert runs[1].settings["scale"] == 3
    assert runs[0].settings["solver.tolerance"] == 1e-5
    assert [record.headline for record in runs[0].images("Set5", "backbone").values()] == [38.0, 40.0, 32.0]


def test_traces_and_pictures_are_optional(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (run,) = read_runs([folder])
    assert run.traces == {}
    assert run.picture("Set5", "baby", "mcnet") is None
    rows = "Set5,baby,mcnet,1,0.1\nSet5,baby,mcnet,2,0.01\n"
    (folder / "traces.csv").write_text(f"dataset,image,method,evaluation,residual\n{rows}")
    (run,) = read_runs([folder])
    assert run.traces == {("Set5", "baby", "mcnet"): [0.1, 0.01]}


@pytest.mark.parametrize(
    ("damage", "answer"),
    [
        (lambda run: (run / "metrics.csv").unlink(), "holds no finished run"),
        (lambda run: (run / "metrics.csv").write_text(""), "holds no row"),
        (lambda run: (run / "metrics.csv").write_text("a,b\n1,2\n"), "has no column 'protocol'"),
        (lambda run: (run / "metrics.csv").write_bytes(b"\xff\xfe\x00"), "metrics.csv"),
        (lambda run: (run / ".hydra" / "config.yaml").unlink(), r"has no .hydra/config\.yaml"),
        (lambda run: (run / ".hydra" / "config.yaml").write_text("a: [1"), "cannot be read"),
        (lambda run: (run / ".hydra" / "config.yaml").write_text("- 1"), "cannot be read"),
        (lambda run: (run / ".hydra" / "config.yaml").write_text(BOMB), "anchors repeat too much"),
        (lambda run: (run / ".hydra" / "config.yaml").write_text("a: !!python/name:os.system"), "could not determine"),
        (lambda run: (run / ".hydra" / "config.yaml").write_text("a: " + "[" * 700), "nested too deeply"),
    ],
)
def test_unusable_folders_are_named_in_one_sentence(
    tmp_path: Path, damage: Callable[[Path], object], answer: str
) -> None:
    damage(make_run(tmp_path / "run"))
    with pytest.raises(DataError, match=answer):
        read_runs([tmp_path])


def test_a_truncated_figure_is_named(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run") / "metrics.csv"
    path.write_text(path.read_text().replace(",35.0,", ",3x5,", 1))
    with pytest.raises(DataError, match=r"metrics\.csv is damaged"):
        read_runs([tmp_path])


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_runs([tmp_path / "nowhere"])
