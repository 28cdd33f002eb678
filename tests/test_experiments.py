"""The experiments: their commands are valid, go on where they stopped, and survive what is missing."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from mcnet_lightning.config.checking import compose_config

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
SCRIPTS = sorted(path.parent.name for path in EXPERIMENTS.glob("*/run.py"))


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"experiment_{name}", EXPERIMENTS / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SCRIPTS)
def test_cells_are_valid_commands_and_the_readme_has_what_it_needs(name: str) -> None:
    module = load(f"{name}/run.py")
    cells = module.cells() if hasattr(module, "cells") else module.CELLS
    assert len({tuple(words) for words in cells.values()}) == len(cells)
    distinct = {tuple(word.split("=")[0] for word in words): words for words in cells.values()}  # one of each kind
    for words in distinct.values():
        compose_config("evaluate", words)
    page = (EXPERIMENTS / name / "README.md").read_text()
    for part in ("**Question.**", "**Result.**", "**Answer.**", "data.root=DIR", "eed 0"):
        assert part in page, part


def test_paper_tables_have_every_row() -> None:
    cells = load("paper_tables/run.py").cells()
    for protocol in ("paper", "standard"):
        for network in ("srcnn_published", "srcnn", "rdn", "rcan"):
            for scale in (2, 3, 4):
                for dataset in ("Set5", "Set14"):
                    assert {
                        f"{protocol}/{network}_x{scale}_{dataset}_{part}" for part in ("mcnet", "baselines")
                    } <= set(cells)


class Commands:
    """Stands for subprocess.run: finishes a cell, or ends with the exit code told for it."""

    def __init__(self, codes: dict[str, int]) -> None:
        self.codes, self.run_dirs = codes, list[Path]()

    def __call__(self, command: list[str]) -> SimpleNamespace:
        folder = Path(command[-1].removeprefix("hydra.run.dir="))
        self.run_dirs.append(folder)
        code = self.codes.get(folder.name, 0)
        if code == 0:
            folder.mkdir(parents=True)
            (folder / "metrics.csv").touch()
        return SimpleNamespace(returncode=code)


def test_measured_cells_are_skipped_and_missing_weights_do_not_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, commands = load("running.py"), Commands({"two": 4})
    monkeypatch.setattr(running.subprocess, "run", commands)
    monkeypatch.setattr(sys, "argv", ["run.py", "data.root=DIR"])
    cells = {"one": ["scale=2"], "two": ["scale=3"], "three": ["scale=4"]}
    assert running.measure(tmp_path, cells) == ["two"]
    commands.codes.clear()
    assert running.measure(tmp_path, cells) == []
    assert [folder.name for folder in commands.run_dirs] == ["one", "two", "three", "two"]


def test_a_bug_stops_an_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = load("running.py")
    monkeypatch.setattr(running.subprocess, "run", Commands({"one": 1}))
    with pytest.raises(SystemExit):
        running.measure(tmp_path, {"one": [], "two": []})
    assert not (tmp_path / "runs" / "two").exists()
