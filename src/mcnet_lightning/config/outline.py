"""What this package's modules declare, read from their source: so that `--help` and checks need not import torch.

`outline("mcnet_lightning.backbones.rcan")["RCAN"]` is a shell of the class: its documentation, constants and fields,
and a constructor that takes the same arguments and does nothing. Whatever needs more than that is left out.
"""

import ast
import builtins
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.name
KEPT = ("__init__", "hyperparameters")
UNKNOWN = ast.Constant(...)  # a default that cannot be told without importing more


def is_own(target: str) -> bool:
    """Whether a dotted path is of this package."""
    return target.split(".")[0] == ROOT


def shell(target: str) -> Any:
    """The outline of the class or function at a dotted path; through the modules that only pass it on."""
    module, _, name = target.rpartition(".")
    declared = outline(module)
    return declared[name] if name in declared else shell(".".join(_imports(module)[name]))


@cache
def outline(module: str) -> dict[str, Any]:
    """Names that a module of this package declares, with their shells."""
    scope: dict[str, Any] = {"__name__": module}
    declared, imports = set[str](), _imports(module)
    for node in filter(None, map(_emptied, _tree(module).body)):
        declared |= {*_declared(node)}
        for name in {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} & imports.keys() - scope.keys():
            with suppress(KeyError, FileNotFoundError):
                scope[name] = _imported(*imports[name])
        with suppress(Exception):  # it needs what is not here
            kept = ast.Module([_without_unknown(node, scope)], [])
            exec(compile(ast.fix_missing_locations(kept), module, "exec"), scope)
    return {name: value for name, value in scope.items() if name in declared}


@cache
def _tree(module: str) -> ast.Module:
    path = PACKAGE.parent.joinpath(*module.split("."))
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())


@cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    nodes = [node for node in _tree(module).body if isinstance(node, ast.ImportFrom) and node.module]
    return {alias.asname or alias.name: (str(node.module), alias.name) for node in nodes for alias in node.names}


def _imported(module: str, name: str) -> Any:
    if is_own(module):
        return shell(f"{module}.{name}")
    if module.split(".")[0] in sys.stdlib_module_names:
        return getattr(import_module(module), name)
    raise KeyError(name)


def named_classes(room: str) -> dict[str, str]:
    """The dotted paths of a room's classes that have a constant `name`, by that name."""
    found = {}
    for path in sorted((PACKAGE / room).glob("*.py")):
        if "\n    name = " not in path.read_text():
            continue  # nothing to parse it for
        module = f"{ROOT}.{room}.{path.stem}"
        for kind in (node for node in _tree(module).body if isinstance(node, ast.ClassDef)):
            for node in kind.body:
                if (
                    isinstance(node, ast.Assign)
                    and _declared(node) == ["name"]
                    and isinstance(node.value, ast.Constant)
                ):
                    found[str(node.value.value)] = f"{module}.{kind.name}"
    return found


def _declared(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _emptied(node: ast.stmt) -> ast.stmt | None:
    """A declaration without what it does; None for anything else."""
    if isinstance(node, ast.FunctionDef):
        node.body, node.returns = _documentation(node), None
        node.decorator_list = [
            each for each in node.decorator_list if ast.unparse(each) in ("property", "staticmethod")
        ]
    elif isinstance(node, ast.ClassDef):
        inner = [each for each in node.body if not isinstance(each, ast.FunctionDef) or each.name in KEPT]
        node.body = [*_documentation(node), *filter(None, map(_emptied, inner))]
        node.decorator_list = [each for each in node.decorator_list if "dataclass" in ast.unparse(each)]
        node.keywords = []
    return node if isinstance(node, ast.Assign | ast.AnnAssign | ast.FunctionDef | ast.ClassDef) else None


def _without_unknown(node: ast.stmt, scope: dict[str, Any]) -> ast.stmt:
    """The same without names that are not in `scope`: bases, constants and defaults go, annotations become `object`."""
    if isinstance(node, ast.AnnAssign):
        node.annotation = _annotation(node.annotation, scope)
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and not _known(node.value, scope):
        return ast.Pass()
    if isinstance(node, ast.ClassDef):
        node.bases = [base for base in node.bases if _known(base, scope)]
        node.body = [_without_unknown(each, scope) for each in node.body]
    if isinstance(node, ast.FunctionDef):
        given = node.args
        for each in [*given.posonlyargs, *given.args, *given.kwonlyargs]:
            each.annotation = each.annotation and _annotation(each.annotation, scope)
        given.defaults = [each if _known(each, scope) else UNKNOWN for each in given.defaults]
        given.kw_defaults = [each if each is None or _known(each, scope) else UNKNOWN for each in given.kw_defaults]
    return node


def _documentation(node: ast.ClassDef | ast.FunctionDef) -> list[ast.stmt]:
    return [ast.Expr(ast.Constant(ast.get_docstring(node) or ""))]


def _annotation(node: ast.expr, scope: dict[str, Any]) -> ast.expr:
    return node if _known(node, scope) else ast.Name("object", ast.Load())


def _known(node: ast.expr, scope: dict[str, Any]) -> bool:
    names = [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
    return all(name in scope or hasattr(builtins, name) for name in names)
