"""Writes a command's --help: its groups with their options, and every key with default, meaning and limits."""

import itertools
import shutil
import textwrap

from omegaconf import DictConfig

from mcnet_lightning.config.composition import conf_dir, group_choices, group_options, without_hydra
from mcnet_lightning.config.validation import Key, describe, keys_of, shown_value

COLUMN = 34


def help_page(config_name: str, program: str, cfg: DictConfig) -> str:
    """The page for the configuration `cfg`, composed with Hydra's own part (so that a chosen group shows its keys)."""
    about, examples = _header(config_name)
    groups = group_choices(cfg)
    keys = [key for key in keys_of(without_hydra(cfg)) if key.field and "help" in key.field.metadata]
    lines = [
        f"usage: {program} [GROUP=OPTION ...] [KEY=VALUE ...] [-m KEY=VALUE,VALUE ...]",
        "",
        *textwrap.wrap(about, _width()),
    ]
    if groups:
        lines += ["", "Groups (an option sets several keys at once; * is chosen here)"]
    for group, choice in reversed(groups.items()):
        options = ", ".join(f"{option}*" if option == choice else option for option in group_options(cfg, group))
        lines += _row(group, options)
    for section in sorted(dict.fromkeys(map(_section, keys)), key=bool):  # plain keys first, else the schema's order
        option = groups.get(section)
        lines += ["", f"{section}.*{f' with {section}={option}' if option else ''}" if section else "Keys"]
        for key in keys:
            if _section(key) == section and key.field:
                meaning = f"{key.field.metadata['help']} [{describe(key.field)}]"
                lines += _row(f"{key.path}={shown_value(key.value)}", meaning)
    lines += ["", "Examples", *(f"  {example}" for example in examples)]
    lines += [
        "",
        *textwrap.wrap(
            "Other options have other keys: add them to see these, as in `solver=picard --help` for a command with "
            "that group. -m runs one job for each combination of values; --cfg job prints the configuration without "
            "running; --hydra-help lists Hydra's own flags.",
            _width(),
        ),
    ]
    return "\n".join(lines)


def _section(key: Key) -> str:
    return key.path.split(".")[0] if "." in key.path else ""


def _header(config_name: str) -> tuple[str, list[str]]:
    """The comment above a command's file in conf/: its first line says what it does, the others are examples."""
    lines = (conf_dir(config_name) / f"{config_name}.yaml").read_text().splitlines()
    comment = [line.lstrip("#").strip() for line in itertools.takewhile(lambda line: line.startswith("#"), lines)]
    return comment[0], comment[1:]


def _row(left: str, right: str) -> list[str]:
    """Two columns; a long left entry takes a line of its own."""
    wrapped = textwrap.wrap(right, max(30, _width() - COLUMN - 2)) or [""]
    indent = " " * (COLUMN + 2)
    if len(left) >= COLUMN:
        return [f"  {left}", *(indent + line for line in wrapped)]
    return [f"  {left:<{COLUMN}}{wrapped[0]}", *(indent + line for line in wrapped[1:])]


def _width() -> int:
    return min(120, max(60, shutil.get_terminal_size((110, 24)).columns))
