"""Settings before torch: made once, and never against what the user said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SAY = (
    "import os; from mcnet_lightning.cli.process import tune_process; tune_process(); "
    "print(os.environ.get('GOMP_SPINCOUNT'))"
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [({}, "20000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
def test_the_users_own_settings_stand(said: dict[str, str], expected: str) -> None:
    rest = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", SAY], env={**rest, **said}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, mcnet_lightning.cli.process; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_subnormal_numbers_are_flushed() -> None:
    code = (
        "import torch; from mcnet_lightning.cli.process import flush_subnormals; flush_subnormals(); "
        "print(float(torch.tensor([1e-30]) * torch.tensor([1e-10])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0.0"


@pytest.mark.parametrize(("home", "given"), [("/proc/nothing", True), ("HOME", False)])
def test_matplotlib_says_nothing_of_a_home_that_cannot_be_written(tmp_path: Path, home: str, given: bool) -> None:
    left_out = ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    code = (
        "import os; from mcnet_lightning.cli.process import settle_matplotlib; settle_matplotlib();"
        "print(os.environ.get('MPLCONFIGDIR', '')); import matplotlib; matplotlib.get_configdir()"
    )
    environment["HOME"] = str(tmp_path) if home == "HOME" else home
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    folder = done.stdout.strip()
    assert (folder != "") == given
    assert "matplotlib" not in done.stderr.lower()
    assert not folder or not Path(folder).exists()  # afterwards
