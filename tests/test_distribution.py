"""An installed package adds components by entry points: `--help` lists them, and they are chosen by name."""

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import numpy as np
import pytest
from hydra.core.config_store import ConfigStore
from in_process import command
from PIL import Image
from sweep_commands import SETTINGS, finish, make_pictures, rows, start

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.config import register_schemas
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.config.components import PARTS, ROLES, registered

GUIDE = Path(__file__).resolve().parents[1] / "examples" / "extension"
POINTS = """[mcnet_lightning.components]
backbone.keen = shelf_of_toys:Sharpened
operator.means = shelf_of_toys:Averaged
solver.patient = shelf_of_toys:Patient
method.partway = shelf_of_toys:Halfway
problem.enlarging = shelf_of_toys:Enlarging
"""
PROBLEM = """

from mcnet_lightning.problems.super_resolution import SuperResolution


class Enlarging(SuperResolution):
    \"\"\"Super-resolution under another name.\"\"\"
"""
PROJECT = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "shelf-of-toys"
version = "1.0"

[tool.setuptools]
py-modules = ["shelf_of_toys"]

[project.entry-points."mcnet_lightning.components"]
"backbone.keen" = "shelf_of_toys:Sharpened"
"operator.means" = "shelf_of_toys:Averaged"
"""


def write_module(folder: Path) -> None:
    (folder / "shelf_of_toys.py").write_text((GUIDE / "toys.py").read_text() + PROBLEM)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What `pip install` leaves: a module and its dist-info, on the path."""
    site = tmp_path / "site"
    info = site / "shelf_of_toys-1.0.dist-info"
    info.mkdir(parents=True)
    write_module(site)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf-of-toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    forget()
    yield tmp_path
    sys.modules.pop("shelf_of_toys", None)
    monkeypatch.undo()
    forget()


def forget() -> None:
    """As in a new process."""
    importlib.invalidate_caches()
    for group in (*ROLES, *PARTS):
        ConfigStore.instance().repo.pop(group, None)
    registered.cache_clear()
    register_schemas.cache_clear()


def test_help_lists_what_is_installed(installed: Path) -> None:
    page = command(installed, "train", "--help", "all", "backbone=keen").stdout
    listed = {line.split()[0]: line for line in page.splitlines() if line[:2].isspace() and line[2:3].strip()}
    assert "keen*" in listed["backbone"]
    assert "means" in listed["operator"]
    assert "partway" in page
    assert "enlarging" in listed["problem"]
    assert "how much of the details is added" in listed["backbone.gain=0.2"]
    assert "keen" in command(installed, "restore", "--help").stdout


def test_what_is_installed_is_chosen_by_name_and_keeps_its_keys(installed: Path) -> None:
    words = ["backbone=keen", "backbone.gain=0.4", "operator=means", "solver=patient", "problem=enlarging"]
    config = compose_config("train", [*words, "method=[backbone,partway]", "method.partway.share=1"])
    assert config.backbone._target_ == "shelf_of_toys.Sharpened"
    assert (config.backbone.name, config.backbone.gain, config.method.partway.share) == ("keen", 0.4, 1)
    done = command(installed, "train", "backbone=keen", "backbone.gian=1")
    assert done.returncode == 2
    assert "did you mean 'backbone.gain'?" in done.stderr
    assert load_backbone("keen", 2).spec.name == "sharpened"  # its class, in Python


def test_what_is_installed_is_measured(installed: Path) -> None:
    place = installed / "data" / "test" / "Small"
    place.mkdir(parents=True)
    levels = np.random.default_rng(0).integers(60, 190, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(levels).save(place / "a.png")
    words = ["backbone=keen", "operator=means", "problem=enlarging", "method=[backbone,partway]", "layer.weights=none"]
    given = ["data.root=data", "data.test=[Small]", "device=cpu", "hydra.run.dir=run", "method.partway.share=1"]
    done = command(installed, "evaluate", *words, *given)
    assert done.returncode == 0, done.stderr
    found = {row["method"]: row for row in rows(installed / "run" / "metrics.csv")}
    assert found["partway"]["backbone"] == "keen"
    assert float(found["partway"]["consistency"]) < 1e-3 < float(found["backbone"]["consistency"])


@pytest.mark.slow
def test_a_package_that_pip_installs_is_listed_and_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("setuptools")
    package = tmp_path / "package"
    package.mkdir()
    write_module(package)
    (package / "pyproject.toml").write_text(PROJECT)
    pip = [sys.executable, "-m", "pip"] if PathFinder.find_spec("pip") else [str(shutil.which("uv")), "pip"]
    if pip[0] == "None":
        pytest.skip("neither pip nor uv is here")
    words = ["install", "--no-deps", "--no-build-isolation", "--target", str(tmp_path / "site"), str(package)]
    subprocess.run([*pip, *words], check=True, capture_output=True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=":")
    make_pictures(tmp_path)
    assert "keen" in finish(start(tmp_path, "--help"))
    settings = [word for word in SETTINGS if not word.startswith("backbone")]
    more = ["backbone=keen", "operator=means", "logger=csv", "trainer.max_epochs=1", "data.max_patches=8"]
    finish(start(tmp_path, *settings, *more, "hydra.run.dir=run"))
    assert {row["backbone"] for row in rows(tmp_path / "run" / "metrics.csv")} == {"keen"}
