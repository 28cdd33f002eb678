"""Where a component from outside the package is written down, and what that says: a result depends on it."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from mcnet_lightning.files import files_digest


@cache
def source_digest(target: str) -> str:
    """SHA-256 of the module of a dotted path and of those beside it that it imports, or of its whole package; "" for
    what has no source.
    """
    top = target.split(".")[0]
    spec = find_spec(top)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    path = Path(spec.origin)
    return files_digest(path.parent.rglob("*.py") if path.name == "__init__.py" else _together(path))


def _together(path: Path) -> set[Path]:
    """The file, and the files and packages of its folder that it imports, directly or not."""
    found, waiting = set[Path](), [path]
    while waiting:
        each = waiting.pop()
        if each in found:
            continue
        found.add(each)
        for name in _imported(each):
            beside = path.parent / name
            waiting += [beside.with_suffix(".py")] if beside.with_suffix(".py").is_file() else beside.rglob("*.py")
    return found


def _imported(path: Path) -> set[str]:
    try:
        tree = ast.parse(path.read_text())
    except (SyntaxError, ValueError):
        return set()
    nodes = list(ast.walk(tree))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in names}
