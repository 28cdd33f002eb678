"""The built wheel, installed in a fresh environment without any extra, restores and certifies a picture."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mcnet_lightning.files.extras import EXTRA_OF
from mcnet_lightning.imaging import write_png

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
OFFLINE = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")


def pip(python: str | Path, *words: str) -> None:
    done = subprocess.run([python, "-m", "pip", *words], capture_output=True, text=True)
    if done.returncode and any(word in done.stdout + done.stderr for word in OFFLINE):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a fresh environment."""
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "fresh"], check=True)
    found = folder / "fresh" / "bin"
    pip(found / "python", "install", "--quiet", str(wheel))
    return found


def run(scripts: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([scripts / words[0], *words[1:]], cwd=folder, capture_output=True, text=True)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)


def test_a_picture_is_restored_and_certified(scripts: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "small.png", torch.linspace(0.2, 0.8, 16).expand(1, 12, 16))
    restored = run(scripts, tmp_path, "mcnet-restore", "input=small.png", "output=out", "format=tiff")
    assert restored.returncode == 0, restored.stderr
    certified = run(scripts, tmp_path, "mcnet-certify", "image=out/small.tiff", "measurement=small.png")
    assert certified.returncode == 0, certified.stderr
    assert "epsilon     0: met\n" in certified.stdout


def test_nothing_of_an_extra_came_along(scripts: Path, tmp_path: Path) -> None:
    code = f"import importlib.util as u; print([m for m in {sorted(EXTRA_OF)} if u.find_spec(m)])"
    assert run(scripts, tmp_path, "python", "-c", code).stdout == "['jinja2']\n"  # which torch itself needs
    refused = run(scripts, tmp_path, "mcnet-train")
    assert refused.returncode == 2
    assert "pip install 'mcnet-lightning[train]'" in refused.stderr


def test_every_command_has_its_help(scripts: Path, tmp_path: Path) -> None:
    commands = sorted(path.name for path in scripts.glob("mcnet-*"))
    assert len(commands) == 9
    for command in commands:
        words = [command, "denoiser"] if command == "mcnet-pretrain" else [command]
        page = run(scripts, tmp_path, *words, "--help")
        assert page.returncode == 0, page.stderr
        assert page.stdout.startswith(f"usage: {command}")
