"""The arguments of Lightning's Trainer, read from its source: importing Lightning would take seconds.

Names, types and defaults are those of its signature, meanings the first sentences of its docstring. Where Lightning is
not installed there are none: who only restores has no use for them.
"""

import ast
import re
import textwrap
from collections.abc import Collection, Iterator
from dataclasses import Field
from functools import reduce
from operator import or_
from typing import Any

from mcnet_lightning.config.keys import key
from mcnet_lightning.files.extras import place_of

OURS = ("self", "logger", "callbacks")  # what the framework gives
PLAIN = {"bool": bool, "int": int, "float": float, "str": str, "None": None}
HEAD = re.compile(r"    def __init__\(\n.*?(?=\n    (?:def|@))", re.DOTALL)
MARKUP = re.compile(r":\w+:|[`~]|pytorch_lightning\.[\w.]*\.")
MEANING = re.compile(r"^ {4}(\w+): (.*?)(?=\.\s|\s+Default:|\s*\Z|\n\n| Disabled by)", re.DOTALL | re.MULTILINE)


def trainer_arguments(besides: Collection[str]) -> Iterator[tuple[str, Any, Field[Any]]]:
    """(name, type, key) of each argument that is not among `besides`, as `dataclasses.make_dataclass` takes them."""
    package = place_of("pytorch_lightning")
    if package is None:
        return
    source = (package.parent / "trainer" / "trainer.py").read_text(encoding="utf-8")
    head = HEAD.search(source, source.index("\nclass Trainer"))
    assert head is not None, "Lightning's Trainer has no __init__ as it was"
    (init,) = ast.parse(textwrap.dedent(head[0])).body
    assert isinstance(init, ast.FunctionDef)
    docstring = ast.get_docstring(init) or ""
    meanings = {name: " ".join(MARKUP.sub("", said).split()) for name, said in MEANING.findall(docstring)}
    for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
        name = argument.arg
        if default is not None and name not in (*OURS, *besides):
            yield name, _kind(argument.annotation), key(ast.literal_eval(default), meanings.get(name, "of Lightning"))


def _kind(annotation: ast.expr | None) -> Any:
    """What can be typed of an argument's types: numbers and words; where lists, mappings or Lightning's own names for
    words are among them, Lightning itself has to check.
    """
    names = set(_names(annotation))
    if names & {"list", "dict"} or any(name.startswith("_") for name in names):
        return Any
    return reduce(or_, (PLAIN[name] for name in PLAIN if name in names))


def _names(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        if node.value.id not in ("Union", "Optional"):
            yield node.value.id
            return
        yield from ["None"] * (node.value.id == "Optional")
        node = node.slice
    if isinstance(node, ast.Tuple):
        for part in node.elts:
            yield from _names(part)
    elif isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Subscript):
        yield from _names(node)
