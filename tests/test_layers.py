"""The one rule of the house: data flows one way, so a room imports only from rooms above it, and never in a circle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "mcnet_lightning"
SOURCE = Path(__file__).resolve().parents[1] / "src" / PACKAGE
PLUGINS = SOURCE.with_name("hydra_plugins")  # which Hydra finds by that name

COMMANDS = ("train", "pretrain", "search_beta", "evaluate", "report", "restore", "certify", "demo", "dashboard")
ROOMS = (  # from the top of the house downwards; those on one line may import each other
    ("errors",),
    ("files",),
    ("config",),
    ("operators",),
    ("equilibrium",),
    ("denoisers",),
    ("imaging",),
    ("problems",),
    ("backbones",),
    ("model",),
    ("methods",),
    ("data",),
    ("build",),
    ("evaluation",),
    ("restoration",),
    ("reporting",),
    ("training",),
    ("demonstration",),
    ("sweeps",),
    ("cli",),
    ("hydra_plugins",),
    COMMANDS,
    ("__init__",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
MATHEMATICS = ("operators", "equilibrium", "denoisers", "problems", "backbones", "model", "methods")
FRAMEWORKS = ("pytorch_lightning", "lightning", "hydra", "omegaconf", "wandb")


def modules(source: Path) -> Iterator[tuple[str, ast.Module]]:
    """Dotted names below the package ('operators.resize', 'operators' for its __init__) with their syntax trees."""
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        yield name, ast.parse(path.read_text(), str(path))


def imports(name: str, tree: ast.AST, is_package: bool = False) -> Iterator[str]:
    """Absolute dotted names that `tree` imports, wherever in it (a lazy import is one too)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = [PACKAGE, *name.split(".")]
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base]) if base else ".".join(parts)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def own(name: str) -> str | None:
    """The room's module of an absolute name: 'mcnet_lightning.operators.base.Size' -> 'operators.base.Size'."""
    return name.removeprefix(f"{PACKAGE}.") if name.startswith(f"{PACKAGE}.") else None


def upward_imports(source: Path, prefix: str = "") -> list[str]:
    """Every import of a room from one below it, and every module that belongs to no room."""
    wrong = []
    for name, tree in ((prefix + name, tree) for name, tree in modules(source)):
        room = name.split(".")[0]
        if room not in FLOOR:
            wrong.append(f"{name} belongs to no room: add it to ROOMS")
            continue
        is_package = (source / name.replace(".", "/") / "__init__.py").exists()
        for target in filter(None, map(own, imports(name, tree, is_package))):
            below = target.split(".")[0]
            if below in FLOOR and FLOOR[below] > FLOOR[room]:
                wrong.append(f"{name} imports {target}, which stands below it")
    return wrong


def test_no_room_imports_from_below() -> None:
    assert not upward_imports(SOURCE)
    assert not upward_imports(PLUGINS, "hydra_plugins.")


def test_the_plugins_are_looked_at() -> None:
    reached = {own(target) for name, tree in modules(PLUGINS) for target in imports(name, tree)} - {None}
    assert any(room and room.startswith("sweeps") for room in reached)


def test_no_module_imports_itself_through_others() -> None:
    known = dict(modules(SOURCE))
    graph: dict[str, set[str]] = {}
    for name, tree in known.items():
        reached = set()
        body = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        for target in filter(None, map(own, imports(name, body, (SOURCE / name.replace(".", "/")).is_dir()))):
            while target and target not in known:
                target = target.rpartition(".")[0]
            reached |= {target} - {""}
        graph[name] = reached
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_mathematics_knows_no_framework() -> None:
    for name, tree in modules(SOURCE):
        if name.split(".")[0] in MATHEMATICS:
            foreign = {target.split(".")[0] for target in imports(name, tree)} & set(FRAMEWORKS)
            assert not foreign, f"{name} imports {foreign}"


def test_solver_knows_no_image() -> None:
    for name, tree in modules(SOURCE):
        if name.startswith("equilibrium"):
            assert not any((own(target) or "").startswith("imaging") for target in imports(name, tree)), name


@pytest.mark.parametrize(
    "line",
    [
        "from mcnet_lightning.training import fit",
        "from mcnet_lightning import training",
        "import mcnet_lightning.training.fit",
        "from ..training import fit",
        "from .. import training",
        "def lazily():\n    from mcnet_lightning.training import fit",
    ],
)
def test_a_planted_upward_import_is_found(line: str, tmp_path: Path) -> None:
    (tmp_path / "operators").mkdir()
    (tmp_path / "operators" / "__init__.py").touch()
    (tmp_path / "operators" / "base.py").write_text("from mcnet_lightning.errors import ConfigError\n" + line + "\n")
    assert len(upward_imports(tmp_path)) == 1
    (tmp_path / "stray.py").touch()
    assert len(upward_imports(tmp_path)) == 2


def test_no_two_files_of_tests_share_a_name() -> None:
    """pytest imports them by it, and leaves the second one out with an error."""
    names = sorted(path.name for path in Path(__file__).parent.rglob("test_*.py"))
    assert len(names) == len({*names}), [name for name in names if names.count(name) > 1]
