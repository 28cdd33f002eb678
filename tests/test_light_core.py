"""Who only restores needs none of the packages of training: `restore` and `certify` do their work without them."""

import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
import torch

import mcnet_lightning
from mcnet_lightning.files.extras import EXTRA_OF, EXTRAS
from mcnet_lightning.imaging import write_png

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = {  # what a distribution is imported as, where that is not its name
    "hydra-joblib-launcher": "joblib",
    "hydra-submitit-launcher": "submitit",
    "scikit-image": "skimage",
}
KEPT_OUT = f"""
import sys

class KeepOut:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(EXTRA_OF)!r}:
            raise ModuleNotFoundError("No module named " + name, name=name)

sys.meta_path.insert(0, KeepOut())
"""


def module_of(requirement: str) -> str:
    name = requirement.split("[")[0]
    for sign in "<>=!~ ;":
        name = name.split(sign)[0]
    return MODULES.get(name, name.replace("-", "_"))


def without_extras(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = KEPT_OUT + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True)


def test_every_package_of_an_extra_is_known_by_its_module() -> None:
    extras = PROJECT["optional-dependencies"]
    for extra in EXTRAS:
        assert {module_of(each) for each in extras[extra]} - {"mcnet_lightning"} == {
            m for m, other in EXTRA_OF.items() if other == extra
        }
    assert not {module_of(each) for each in PROJECT["dependencies"]} & set(EXTRA_OF)


def test_pictures_are_restored_and_certified_without_the_extras(tmp_path: Path) -> None:
    write_png(tmp_path / "small.png", torch.linspace(0.2, 0.8, 16).expand(1, 12, 16))
    done = without_extras(
        """
        import mcnet_lightning.restore, mcnet_lightning.certify
        sys.argv = ["mcnet-restore", "input=small.png", "output=out"]
        mcnet_lightning.restore.main()
        sys.argv = ["mcnet-certify", "image=out/small.png", "measurement=small.png"]
        mcnet_lightning.certify.main()
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "1 picture written" in done.stdout
    assert {line.split()[0] for line in done.stderr.splitlines()} <= {"restoring"}, done.stderr  # how far it is
    assert (tmp_path / "out" / "small.png").is_file()


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_command_of_the_extra_says_in_one_sentence_how_to_get_it(command: str, tmp_path: Path) -> None:
    code = f"""
        import mcnet_lightning.{command}
        sys.argv = ["mcnet-{command}"]
        mcnet_lightning.{command}.main()
        """
    done = without_extras(code, tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'mcnet-lightning[train]'" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_help_of_a_command_of_the_extra_needs_it_not(tmp_path: Path) -> None:
    code = """
        import mcnet_lightning.train
        sys.argv = ["mcnet-train", "--help"]
        mcnet_lightning.train.main()
        """
    done = without_extras(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "trainer.max_epochs" in done.stdout


def test_the_version_stands_in_one_place() -> None:
    assert "version" in PROJECT["dynamic"]
    assert "\nversion:" not in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {mcnet_lightning.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()  # its notes


def test_every_command_is_a_script() -> None:
    commands = [path.stem for path in (ROOT / "src" / "mcnet_lightning").glob("*.py")]
    expected = {f"mcnet-{name.replace('_', '-')}": f"mcnet_lightning.{name}:main" for name in commands}
    assert PROJECT["scripts"] == {n: v for n, v in expected.items() if n not in ("mcnet---init--", "mcnet-errors")}


def test_loading_weights_does_not_load_the_compiler_of_pytorch() -> None:
    """Which takes seconds: it does so for an operation on its meta device that is made of others, eye or normal_."""
    code = """
        import sys
        from mcnet_lightning.backbones import load_backbone
        from mcnet_lightning.backbones.istanet import ISTANetPlus
        from mcnet_lightning.model.layer_files import load_denoiser, load_layer
        import torch

        for name in ("srcnn", "rcan", "rdn"):
            load_backbone(name, 2)
        load_backbone("unet", "mri")
        load_layer("bundled", "srcnn", 2)
        load_denoiser("bundled")
        with torch.device("meta"):
            ISTANetPlus()
        assert "torch._dynamo" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
