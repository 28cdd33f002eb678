"""What is used of other packages beyond their promises stands in one file; what breaks when it goes is said here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mcnet_lightning.files import private_apis

SOURCE = Path(__file__).resolve().parents[2] / "src"
HERE = "mcnet_lightning/files/private_apis.py"
OWN = ("mcnet_lightning", "hydra_plugins.mcnet_")


PROMISED = ("_fields", "_asdict", "_replace", "_target_")  # of NamedTuple, and Hydra's key


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in PROMISED


def private_uses(tree: ast.Module) -> Iterator[str]:
    """Imports of names with an underscore from other packages, and such attributes of objects that are not one's own:
    neither `self`, `cls` or `super()`, nor defined or set in the same file.
    """
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_own(node.value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            base = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = [f"{base}.{alias.name}".strip(".") for alias in node.names]
            yield from (n for n in names if not n.startswith(OWN) and any(map(is_private, n.split("."))))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            yield ast.unparse(node)


def _is_own(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def test_private_apis_of_others_are_used_in_one_file_only() -> None:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        uses = list(private_uses(ast.parse(path.read_text())))
        if uses and name != HERE:
            found[name] = uses
    assert not found


@pytest.mark.parametrize(
    "line", ["from hydra._internal.utils import get_args_parser", "import a._b", "board._spec", "x = torch.ops._C.f(1)"]
)
def test_a_planted_private_use_is_found(line: str) -> None:
    assert list(private_uses(ast.parse(line)))


def test_production_mocks_nothing() -> None:
    for path in SOURCE.rglob("*.py"):
        assert "unittest" not in path.read_text(), path


def test_no_room_but_cli_knows_the_command_line() -> None:
    for path in SOURCE.rglob("*.py"):
        if "cli" not in path.parts:
            assert "sys.argv" not in path.read_text(), path


def test_hydra_reads_its_flags_apart_from_the_settings() -> None:
    """Breaks: every command."""
    flags = private_apis.hydra_flags().parse_args(["--multirun", "--config-dir", "own", "scale=2,3"])
    assert (flags.multirun, flags.config_dir, flags.overrides) == (True, "own", ["scale=2,3"])
    for name in ("help", "cfg", "info", "config_name", "config_path", "shell_completion", "experimental_rerun"):
        assert hasattr(flags, name)


def test_the_fused_convolution_is_there_or_its_absence_is_noticed() -> None:
    """Breaks: nothing; networks take longer on a CPU. `denoisers.convolution.fusing_works` finds it out."""
    features, weight = torch.ones(1, 4, 5, 5), torch.full((2, 4, 3, 3), 0.25)
    try:
        fused = private_apis.fused_convolution_relu(features, weight)
    except (AttributeError, RuntimeError, TypeError):
        pytest.skip("this PyTorch has none")
    torch.testing.assert_close(fused, F.relu(F.conv2d(features, weight, padding=1)))


def test_a_workspace_says_what_it_is_without_a_login() -> None:
    """Breaks: `dashboard`."""
    ws = pytest.importorskip("wandb_workspaces.workspaces")
    board = ws.Workspace(entity="one", project="two", name="three", sections=[ws.Section(name="Results")])
    assert "Results" in str(private_apis.workspace_specification(board))


def test_lightning_counts_as_is_assumed() -> None:
    """Breaks: runs that go on from a checkpoint, and checkpoints at the end of an epoch that was cut short."""
    pl = pytest.importorskip("pytorch_lightning")
    loop = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu").fit_loop
    assert not private_apis.accumulates(loop)
    before = loop.epoch_progress.current.processed
    with private_apis.counted_as_open(loop):
        assert loop.epoch_progress.current.processed == before - (loop.max_batches > 0)
    assert loop.epoch_progress.current.processed == before
    for each in (loop, loop.epoch_loop, loop.epoch_loop.val_loop):
        assert each._restarting is False
        each.reset_restart_stage()
    assert loop._data_fetcher is None
    assert loop.epoch_loop._batches_that_stepped == 0
    assert callable(loop.epoch_loop._should_check_val_fx)
