"""Checks one KEY=VALUE word at a time, so that a mistake is answered with the nearest thing that exists."""

import copy
import difflib
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mcnet_lightning.config.aliases import meant
from mcnet_lightning.config.components import choose
from mcnet_lightning.config.composition import group_choices, group_options, sentence, without_hydra
from mcnet_lightning.config.validation import keys_of, refusal
from mcnet_lightning.errors import ConfigError


def parse(words: list[str]) -> list[Override]:
    """Hydra's reading of the words; ConfigError where they are not KEY=VALUE."""
    for word in words:
        if "=" not in word and not word.startswith("~"):
            raise ConfigError(f"'{word}' is no setting; write KEY=VALUE (--help lists every key)")
    try:
        return list(OverridesParser.create().parse_overrides(words))
    except HydraException as error:
        raise ConfigError(
            f"cannot read the command line: {sentence(error)}; quote values with special signs"
        ) from error


def check_sign(override: Override, tree: DictConfig) -> None:
    """Refuses '+' and '~': what a command knows is what its schema declares."""
    line, key = str(override.input_line), override.key_or_group
    if override.is_delete():
        raise ConfigError(f"{line}: nothing can be taken away; set the key to another value, or to null where allowed")
    if override.is_add():
        if key in group_choices(tree) or key in {known.path for known in keys_of(without_hydra(tree))}:
            raise ConfigError(f"{line}: write {line[1:]}, without the '+'")
        raise ConfigError(f"{line}: no key can be added; {nearest(key, tree)}")


def check_option(override: Override, tree: DictConfig) -> None:
    """Refuses an option that its group does not have."""
    group, value = override.key_or_group, override.value()
    options = group_options(tree, group)
    for option in value if isinstance(value, list) else [value]:
        if option in options:
            continue
        if "." in str(option):  # the dotted path of a class
            choose(group, str(option))
            continue
        close = difflib.get_close_matches(str(option), options, n=1)
        hint = f"did you mean '{close[0]}'? The options are" if close else "the options are"
        raise ConfigError(f"{override.input_line}: '{group}' has no such option; {hint} {', '.join(options)}")


def check_grid(override: Override, tree: DictConfig) -> None:
    """Refuses a grid that does not exist, or that this command has none of."""
    known = override.key_or_group in group_choices(tree)
    (check_option if known else check_key)(override, tree)


def check_key(override: Override, tree: DictConfig) -> None:
    """Refuses a key that does not exist under the chosen groups; `tree` is the composition of these."""
    parts = override.key_or_group.split(".")
    node: Any = tree
    for depth, part in enumerate(parts):
        if isinstance(node, ListConfig):
            return
        parent = ".".join(parts[:depth])
        if not isinstance(node, DictConfig):
            raise ConfigError(f"{override.input_line}: '{parent}' is a single value and has no keys of its own")
        if part not in node.keys():  # `in node` would be false for a key that has no value yet
            if not parent:
                hint = nearest(override.key_or_group, tree, str(override.input_line).partition("=")[2])
                raise ConfigError(f"{override.input_line}: there is no key '{override.key_or_group}'; {hint}")
            option = group_choices(tree).get(parent)
            if known := meant(override.key_or_group, {key.path for key in keys_of(without_hydra(tree))}):
                raise ConfigError(f"{override.input_line}: write {known}={str(override.input_line).partition('=')[2]}")
            names = [key.path for key in keys_of(node) if key.field is None or "help" in key.field.metadata]
            close = difflib.get_close_matches(part, names, n=1)
            hint = f"did you mean '{parent}.{close[0]}'?" if close else f"its keys are: {', '.join(names) or '(none)'}"
            where = f"{parent}={option}" if option else f"'{parent}'"
            raise ConfigError(f"{override.input_line}: {where} has no key '{part}'; {hint}")
        node = None if OmegaConf.is_missing(node, part) else node[part]


def check_type(override: Override, tree: DictConfig) -> None:
    """Refuses a value that the key's type cannot hold."""
    value: Any = override.value()
    try:
        OmegaConf.update(copy.deepcopy(tree), override.key_or_group, value)
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        for path, field, _ in keys_of(without_hydra(tree)):
            if path == override.key_or_group and field is not None:
                raise ConfigError(refusal(path, field, value)) from error
        raise ConfigError(f"{override.input_line}: {sentence(error)}") from error


def nearest(path: str, tree: DictConfig, value: str = "...") -> str:
    """A hint for a key that does not exist: its name here, the same last word elsewhere, or the closest spelling."""
    keys = [key.path for key in keys_of(without_hydra(tree)) if key.field and "help" in key.field.metadata]
    names = [*keys, *group_choices(tree), *(str(name) for name in tree if name != "hydra")]
    if known := meant(path, set(names)):
        return f"write {known}={value} (--help lists every key)"
    close = [key for key in keys if key.rsplit(".", 1)[-1] == path.rsplit(".", 1)[-1]]
    close = close or difflib.get_close_matches(path, names, n=1)
    close = close or [key for key in keys if difflib.get_close_matches(path, [key.rsplit(".", 1)[-1]], cutoff=0.75)]
    if close:
        return f"did you mean {' or '.join(repr(name) for name in close[:3])}? (--help lists every key)"
    return "--help lists every key"
