"""Checks a composed configuration against the limits that stand beside its keys in config/."""

import difflib
import math
import os
import re
import shlex
import types
from collections.abc import Iterable, Iterator
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, Union, get_args, get_origin

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files.naming import file_of, folder_measurements, measured_endings

_TYPE_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
_LIST_WORDS = {int: "whole numbers", float: "numbers", str: "words"}


class Key(NamedTuple):
    """One setting of a composed configuration: dotted path, its field in the schema (if typed), its value."""

    path: str
    field: Field[Any] | None
    value: Any


def keys_of(cfg: DictConfig, prefix: str = "") -> Iterator[Key]:
    """Every setting below `cfg`, in the order of the schema; a value that is still needed is the text '???'."""
    schema = OmegaConf.get_type(cfg)
    typed = {f.name: f for f in fields(schema)} if is_dataclass(schema) else {}
    for name in map(str, cfg):
        path = f"{prefix}{name}"
        if OmegaConf.is_missing(cfg, name):
            yield Key(path, typed.get(name), "???")
            continue
        try:
            value = cfg[name]
        except OmegaConfBaseException as error:
            raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
        if isinstance(value, DictConfig):
            yield from keys_of(value, prefix=f"{path}.")
        else:
            yield Key(path, typed.get(name), value)


def describe(field: Field[Any]) -> str:
    """What a key accepts, in words: 'a number, at least 0', 'one of 2, 3, 4'."""
    limits = field.metadata
    words = "a number" if "words" in limits and "path" not in limits else _type_in_words(field.type)
    if "choices" in limits:
        options = ", ".join(map(str, limits["choices"]))
        null = " or null" if type(None) in get_args(field.type) else ""
        words = f"a list out of {options}" if get_origin(field.type) is list else f"one of {options}{null}"
    if "minimum" in limits:
        words += f", {'above' if _excludes_minimum(limits) else 'at least'} {limits['minimum']:g}"
    if "maximum" in limits:
        words += f", {'below' if limits.get('exclusive_maximum') else 'at most'} {limits['maximum']:g}"
    return words + "".join(f", or {word}" for word in limits.get("words", ()) if "path" not in limits)


def refusal(path: str, field: Field[Any], value: Any) -> str:
    """The sentence that says what `path` accepts instead of `value`."""
    shown = shown_value(value)
    hint = closest(shown, [str(option) for option in field.metadata.get("choices", ())])
    meaning = re.split("[;:]", field.metadata.get("help", ""))[0].strip()
    return f"{path}={shown}: '{path}' takes {describe(field)}{f' ({meaning})' if meaning else ''}{hint}"


def closest(word: str, names: Iterable[str], listed: bool = False) -> str:
    """A hint at the name that was meant; if none is near, and `listed`, at all there are."""
    close = difflib.get_close_matches(word, names, n=1)
    if not close and listed:
        return f"; its keys are: {', '.join(names) or '(none)'}"
    return f"; did you mean '{close[0]}'?" if close else ""


def shown_value(value: Any) -> str:
    """A value as one would type it on the command line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list | ListConfig):
        return f"[{','.join(map(shown_value, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def validate(cfg: DictConfig) -> None:
    """Raises ConfigError at the first value outside its limits, and where two keys contradict each other.

    Types need no check here: OmegaConf holds them. Values that are still missing ('???') are passed over.
    """
    for path, field, value in keys_of(cfg):
        if field is None or value is None or value == "???":
            continue
        values = list(value) if OmegaConf.is_list(value) else [value]
        if not all(_within(item, field.metadata) for item in values):
            raise ConfigError(refusal(path, field, value))
    for schema in getattr(OmegaConf.get_type(cfg), "__mro__", ()):
        if "check" in vars(schema):
            schema.check(cfg)


def check_complete(cfg: DictConfig, groups: dict[str, str | None], images: str = "picture") -> None:
    """Raises ConfigError where a value is still needed, or a given file or folder does not exist.

    groups: the chosen option of each group, to say who needs the value. images: of the problem.
    """
    check_modes(cfg)
    for path, field, value in keys_of(cfg):
        limits = field.metadata if field else {}
        if value == "???":
            section = path.split(".")[0]
            who = f"{section}={groups[section]}" if groups.get(section) else "this command"
            meaning = f" ({limits['help']})" if limits.get("help") else ""
            raise ConfigError(f"{path} has no value, and {who} needs one; add {path}=...{meaning}")
        words = limits.get("words", ())
        if "path" not in limits or value is None or value in words:
            continue
        if "bundled" in words and value.startswith("bundled:"):  # bundled:NAME
            continue
        target = Path(value).expanduser()
        if limits["path"] == "pictures":
            _check_measurements(path, target, images)
        if limits["path"] == "output" and os.path.lexists(target) and not target.is_dir():
            raise ConfigError(f"{path}={value}: this is a file, and results need a folder; choose another name")
        if limits["path"] == "folder" and not target.is_dir():
            raise ConfigError(f"{path}={value}: there is no such folder (looked for {target.absolute()})")
        if limits["path"] == "files" and not target.exists():
            raise ConfigError(f"{path}={value}: there is no such file or folder (looked for {target.absolute()})")
        if limits["path"] == "file" and not file_of(value).is_file():
            choices = " or ".join([*(repr(word) for word in words), "the path of a file"])
            raise ConfigError(f"{path}={value}: there is no such file; give {choices}")


def _check_measurements(key: str, path: Path, images: str) -> None:
    """Raises ConfigError unless it is a file, or a folder with what looks like pictures or k-space."""
    if path.is_dir():
        if not folder_measurements(path, images):
            what = "k-space" if images == "complex" else "pictures"
            raise ConfigError(f"{key}: {path} holds no {what} ({measured_endings(images)})")
    elif not os.path.lexists(path):
        close = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=1)
        hint = f"; did you mean {shlex.quote(str(path.parent / close[0]))}?" if close else "; check the path"
        raise ConfigError(f"{key}: there is no file or folder {path}{hint}")


def check_modes(cfg: DictConfig) -> None:
    """Raises ConfigError where `restore` is given what its mode does not take, or not given what it needs."""
    needed = {"restore": ("input",), "fix": ("sr", "lr")}.get(OmegaConf.select(cfg, "mode") or "", ())
    for name in ("input", "sr", "lr") if needed else ():
        value = OmegaConf.select(cfg, name)
        meaning = next(key.field.metadata["help"] for key in keys_of(cfg) if key.path == name and key.field)
        if name in needed and value is None:
            raise ConfigError(f"mode={cfg.mode} needs {name}=...: {meaning}")
        if name not in needed and value is not None:
            raise ConfigError(f"{name}={value} has no place in mode={cfg.mode}; it takes {', '.join(needed)}")


def _type_in_words(annotation: Any) -> str:
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_type_in_words(part) for part in get_args(annotation))
    if get_origin(annotation) is list:
        return f"a list of {_LIST_WORDS.get(get_args(annotation)[0], 'values')}"
    return _TYPE_WORDS.get(annotation, "any value")


def _excludes_minimum(limits: Any) -> bool:
    return bool(limits.get("exclusive") or limits.get("exclusive_minimum"))


def _within(value: Any, limits: Any) -> bool:
    if "choices" in limits:
        return value in limits["choices"]
    if isinstance(value, str) and "words" in limits and "path" not in limits:
        return value in limits["words"]
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if isinstance(value, int | float) and "minimum" in limits:
        low = limits["minimum"]
        if not (value > low if _excludes_minimum(limits) else value >= low):
            return False
    if isinstance(value, int | float) and "maximum" in limits:
        return bool(value < limits["maximum"] if limits.get("exclusive_maximum") else value <= limits["maximum"])
    return True
