"""The keys of a component, from the signature of its constructor."""

import inspect
import operator
import re
import types
from collections.abc import Iterator
from dataclasses import field, fields, make_dataclass
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from omegaconf import MISSING

from mcnet_lightning.config.keys import key
from mcnet_lightning.config.outline import is_own

GIVEN = ("scale",)  # arguments that the command itself answers; a class names others in its attribute `given`
PLAIN = (bool, int, float, str)
ENSEMBLES = (1, 8)
PRECISIONS = ("float32", "bfloat16", "float16")
Entry = tuple[str, Any, Any]  # name, type, field


def schema_of(group: str, option: str, target: str, subject: Any) -> type:
    """The dataclass of its keys; `subject` is the class or function, or its shell. A class may bring a dataclass of its
    own as its attribute `schema`.
    """
    described = getattr(subject, "schema", None)
    own = [(each.name, each.type, each) for each in fields(described)] if described else list(_arguments(subject))
    entries: dict[str, Entry] = {"_target_": ("_target_", str, field(default=target))}
    for entry in [*_house(group, option, subject, is_own(target)), *own]:
        entries[entry[0]] = entry
    return make_dataclass(target.rpartition(".")[2], list(entries.values()))


def parameters_of(subject: Any) -> dict[str, inspect.Parameter]:
    """The arguments that can be named, and that no command answers."""
    try:
        signature = inspect.signature(subject, eval_str=True)
    except (NameError, TypeError, AttributeError, SyntaxError):  # an annotation that is not there at run time
        signature = inspect.signature(subject)
    nameable = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    given = (*GIVEN, *getattr(subject, "given", ()))
    return {name: each for name, each in signature.parameters.items() if each.kind in nameable and name not in given}


def _house(group: str, option: str, subject: Any, own: bool) -> Iterator[Entry]:
    """What the house asks of every component of a group."""
    usual = getattr(subject, "default_weights", "none")
    if group == "backbone":
        yield "name", str, field(default=getattr(subject, "name", option.rpartition(".")[2]))
    if group not in ("backbone", "denoiser") or usual is None:
        return
    words: tuple[str, ...] = ("bundled", "official") if group == "backbone" else ("bundled", "none")
    known = "bundled (ours, in the package), official (the authors', downloaded once) or the path of a weight file"
    if group == "backbone" and usual == "bundled":
        known = f"bundled:robust (for JPEGs and noise, where the package has it), {known}"
    if group == "denoiser":
        known = "where a fresh layer starts: bundled (ours), none (random) or a path"
    if usual == "usual":
        words = ("usual", "bundled", "none")
        known = (
            "usual (ours, where the package has some for this problem and as many channels, else none), bundled, none "
        )
        known += "(as it is built) or the path of a weight file"
    if usual == "none":
        words, known = ("none",), "the path of a file with the tensors of this network, or none: as it is built"
    yield "weights", str, key(usual, known, path="file", words=words)
    if group == "backbone":
        meaning = "of the backbone's convolutions; the layer stays in float32"
        yield "precision", str, key("float32", meaning, choices=PRECISIONS)
        meaning = (
            "8: the mean of what the network makes of its eight turned and mirrored inputs, at eight times the cost"
        )
        yield "ensemble", int, key(1, meaning, choices=ENSEMBLES)
        if not own:
            yield "input_kind", str | None, key(None, "what it takes; null: as its class says, else upsampled")
            yield "label", str | None, key(None, "its name in tables; null: as its class says, else its option")


def _arguments(subject: Any) -> Iterator[Entry]:
    meanings, compact = _meanings(subject), getattr(subject, "compact", {})
    told_by_files = inspect.isfunction(
        getattr(subject, "hyperparameters", None)
    )  # a property: what a denoiser was built of
    for name, parameter in parameters_of(subject).items():
        kind, limits = _kind(parameter)
        default, meaning = parameter.default, meanings.get(name, "")
        if default is parameter.empty:
            default = MISSING
        if told_by_files and default is not MISSING:
            ours = compact.get(name, default)
            meaning += f"; null: as in the weight file, else {ours}"
            meaning += f" (published: {default})" if default != ours else ""
            kind, default = kind | None, None
        default = list(default) if isinstance(default, tuple) else default
        if default is None or isinstance(default, (*PLAIN, list, dict)):  # any other is the constructor's affair
            yield name, kind, key(default, meaning, **limits)


def _meanings(subject: Any) -> dict[str, str]:
    """`name: meaning` of the documentation of a class, its constructor and the classes that it extends."""
    parts = (
        [part for each in inspect.getmro(subject) for part in (each, vars(each).get("__init__"))]
        if inspect.isclass(subject)
        else [subject]
    )
    found: dict[str, str] = {}
    for text in (inspect.getdoc(part) or "" for part in parts if part is not object):
        for match in re.finditer(r"^( *)(\w+)(?: \([^)]*\))?: +(\S.*(?:\n\1 +(?!\w+: )\S.*)*)", text, re.MULTILINE):
            found.setdefault(match[2], " ".join(match[3].split()).rstrip("."))
    return found


def _kind(parameter: inspect.Parameter) -> tuple[Any, dict[str, Any]]:
    """A type that OmegaConf can hold, and limits."""
    if parameter.annotation is not parameter.empty:
        kinds, limits = _parts(parameter.annotation)
        return (reduce(operator.or_, dict.fromkeys(kinds)) if Any not in kinds else Any), limits
    default = type(parameter.default)
    known = {bool: bool, int: int | float, float: int | float, str: str}
    return known.get(default, Any), {}


def _parts(annotation: Any) -> tuple[list[Any], dict[str, Any]]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        kinds, limits = _parts(inner[0])
        return kinds, limits | {
            name: value for each in inner[1:] if isinstance(each, dict) for name, value in each.items()
        }
    if origin is Literal:
        return [type(value) for value in inner], {"choices": tuple(value for value in inner if value is not None)}
    if origin in (Union, types.UnionType):
        pairs = [_parts(each) for each in inner]
        kinds = [kind for pair in pairs for kind in pair[0]]
        limits = {name: value for pair in pairs for name, value in pair[1].items()}
        plain = all(kind in (*PLAIN, types.NoneType) for kind in kinds)
        return (kinds if plain or len(set(kinds) - {types.NoneType}) == 1 else [Any]), limits
    if annotation is Path:
        return [str], {}
    if annotation is None or annotation in (*PLAIN, types.NoneType):
        return [annotation or types.NoneType], {}
    if origin in (list, dict) and all(each in PLAIN for each in inner):
        return [annotation], {}
    return [Any], {}
