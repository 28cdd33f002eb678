"""What `make release` does: wheel and sdist, each tried in fresh environments, and the notes; all of it in dist/.

Every Python from 3.11 on that is on PATH is tried; needs a package registry.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PICTURE = ROOT / "docs" / "images" / "astronaut.png"
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


def notes(changelog: str, version: str) -> str:
    """What CHANGELOG.md says of a version. Raises SystemExit where it says nothing."""
    found = re.search(rf"^## {re.escape(version)}\b.*?\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise SystemExit(f"error: CHANGELOG.md has nothing under '## {version}'; give 'Unreleased' this number")
    return found[1].strip() + "\n"


def works(python: str) -> bool:
    code = "import sys, venv; sys.exit(sys.version_info < (3, 11))"
    return bool(shutil.which(python)) and subprocess.run([python, "-c", code], capture_output=True).returncode == 0


def tried(python: str, package: Path) -> None:
    """Installs the package into a fresh environment, and restores and certifies a picture there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([python, "-m", "venv", folder / "fresh"], check=True)
        scripts = folder / "fresh" / "bin"
        quiet = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([scripts / "python", "-m", "pip", "install", *quiet, package], check=True)
        shutil.copy(PICTURE, folder)
        for words in (["mcnet-restore", PICTURE.name, "out"], ["mcnet-certify", f"out/{PICTURE.name}", PICTURE.name]):
            subprocess.run([scripts / words[0], *words[1:]], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    print(f"{package.name} works with {python}", flush=True)


def main() -> None:
    match = VERSION.search((ROOT / "src" / "mcnet_lightning" / "__init__.py").read_text())
    assert match
    text = notes((ROOT / "CHANGELOG.md").read_text(), match[1])
    shutil.rmtree(DIST, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", DIST], cwd=ROOT, check=True)
    packages = sorted([*DIST.glob("*.whl"), *DIST.glob("*.tar.gz")])
    for python in [each for each in PYTHONS if works(each)] or [sys.executable]:
        for package in packages:
            tried(python, package)
    (DIST / "NOTES.md").write_text(f"# mcnet_lightning {match[1]}\n\n{text}")
    print(f"dist/: {', '.join(path.name for path in packages)} and NOTES.md")


if __name__ == "__main__":
    main()
