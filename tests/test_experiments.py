"""The experiments: their commands are valid, go on where they stopped, and survive what is missing."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from composing_once import compose
from omegaconf import DictConfig

from mcnet_lightning.errors import WeightsError
from mcnet_lightning.sweeps import content, swept_job

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
        compose("evaluate", words)
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


@cache
def once(name: str, *words: str) -> DictConfig:
    return compose(name, list(words))


def composed(name: str, words: list[str]) -> DictConfig:
    return once(name, *words)


class Commands:
    """Stands for subprocess.run: a job of a sweep, without the seconds of its process, that ends as is told for it."""

    def __init__(self, failures: dict[str, Exception]) -> None:
        self.failures, self.ran = failures, list[str]()

    def __call__(self, command: list[str]) -> SimpleNamespace:
        assert command[1:4] == ["-m", "mcnet_lightning.evaluate", "-m"]
        *words, runs, name = command[4:]
        folder = Path(runs.removeprefix("hydra.sweep.dir=")) / name.removeprefix("hydra.sweep.subdir=")
        folder.mkdir(parents=True, exist_ok=True)
        self.ran.append(folder.name)
        config = composed("evaluate", words)
        try:
            with swept_job(config, folder, words):
                if folder.name in self.failures:
                    raise self.failures[folder.name]
                (folder / "metrics.csv").write_text(f"scale {config.scale}")
        except Exception as error:
            return SimpleNamespace(returncode=getattr(error, "exit_code", 1))
        return SimpleNamespace(returncode=0)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(content, "code_version", lambda: "this code")
    monkeypatch.setattr(sys, "argv", ["run.py", "seed=1"])
    module = load("running.py")
    monkeypatch.setattr(module, "compose_config", composed)
    return module


def measure(running: ModuleType, folder: Path, cells: dict[str, list[str]], **failures: Exception) -> tuple[Any, Any]:
    """The cells that were run, and those that could not be measured."""
    commands = Commands(failures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running.subprocess, "run", commands)
        failed = running.measure(folder, cells)
    return commands.ran, failed


def test_measured_cells_are_skipped_and_missing_weights_do_not_stop_the_rest(
    tmp_path: Path, running: ModuleType
) -> None:
    cells = {"one": ["scale=2"], "part/two": ["scale=3"], "three": ["scale=4"]}
    ran, failed = measure(running, tmp_path, cells, two=WeightsError("no weights"))
    assert (ran, failed) == (["one", "two", "three"], ["part/two"])
    assert measure(running, tmp_path, cells) == (["two"], [])
    assert measure(running, tmp_path, cells) == ([], [])
    assert (tmp_path / "runs" / "part" / "two" / "metrics.csv").read_text() == "scale 3"


def test_what_has_become_stale_is_measured_again_and_kept_aside(
    tmp_path: Path, running: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = {"one": ["scale=2"], "two": ["scale=3"]}
    measure(running, tmp_path, cells)
    assert measure(running, tmp_path, cells | {"one": ["scale=4"]}) == (["one"], [])
    (tmp_path / "runs" / "two" / "metrics.csv").write_text("cut")
    assert measure(running, tmp_path, cells | {"one": ["scale=4"]}) == (["two"], [])
    (tmp_path / "runs" / "two" / "job.json").unlink()  # as an earlier version left it
    monkeypatch.setattr(content, "code_version", lambda: "other code")
    assert measure(running, tmp_path, cells) == (["one", "two"], [])
    assert {path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()} == {"one", "two"}
    aside = [path.name for path in (tmp_path / "runs.superseded").iterdir()]
    assert sorted(name.split("-")[0] for name in aside) == ["one", "one", "two"]


def test_a_bug_stops_an_experiment(tmp_path: Path, running: ModuleType) -> None:
    with pytest.raises(SystemExit):
        measure(running, tmp_path, {"one": [], "two": []}, one=RuntimeError("a bug"))
    assert not (tmp_path / "runs" / "two").exists()
