"""Writes a command's --help: examples, then the usual keys on one screen; `--help all` has every key and option."""

import itertools
import re
import shutil
import textwrap

from omegaconf import DictConfig

from mcnet_lightning.config.composition import conf_dir, group_choices, group_options, without_hydra
from mcnet_lightning.config.problems import unread
from mcnet_lightning.config.validation import Key, describe, keys_of, shown_value

COLUMN, SHORT = 34, 2  # signs, lines
MEASURED = ("scale", "data.root", "data.test", "layer.weights", "epsilon", "beta", "seed")
TRAINED = ("optimiser.learning_rate", "trainer.max_epochs", "data.batch_size", "resume")
USUAL: dict[str, tuple[str, ...]] = {  # of commands with more keys than a screen has lines
    "train": (*MEASURED, "data.train", *TRAINED),
    "evaluate": (*MEASURED, "pictures", "device"),
    "search_beta": (*(key for key in MEASURED if key != "beta"), "betas", "data.train", "device"),
    "pretrain_backbone": ("scale", "data.root", "data.train", "data.test", "seed", "initial_weights", *TRAINED),
    "pretrain_denoiser": ("noise_level", "data.root", "data.train", "seed", "initial_weights", *TRAINED),
    "restore": (
        *("input", "output", "scale", "epsilon", "noise", "format", "suffix"),
        *("layer.weights", "dequantise", "overwrite", "force", "device"),
    ),
}
CHOICES = (  # the usual groups
    *("problem", "backbone", "operator", "protocol", "method", "data"),
    *("trainer", "experiment"),
)
UNUSED = {  # keys that a command shares with others and takes no notice of
    "evaluate": (
        *("data.train", "data.patch_size", "data.patch_stride", "data.patch_margin"),
        *("data.max_patches", "data.batch_size"),
    ),
    "pretrain_denoiser": ("data.hr", "data.lr", "data.test", "data.patch_margin"),
    "pretrain_backbone": ("data.hr", "data.lr", "data.patch_margin"),
}
REFUSED = {("restore", "backbone"): ("precomputed",)}  # options of a group that a command has no use for


def help_page(config_name: str, program: str, cfg: DictConfig, everything: bool = False) -> str:
    """The page for the configuration `cfg`, composed with Hydra's own part (so that a chosen group shows its keys)."""
    about, examples = _header(config_name, program)
    groups, own = group_choices(cfg), without_hydra(cfg)
    unused = (*UNUSED.get(config_name, ()), *unread(own))
    keys = [key for key in keys_of(own) if key.field and "help" in key.field.metadata and key.path not in unused]
    usual = USUAL.get(config_name)
    few = not everything and usual is not None
    lines = [f"usage: {program} [GROUP=OPTION ...] [KEY=VALUE ...] [-m KEY=VALUE,VALUE ...]", ""]
    lines += [*textwrap.wrap(about, _width()), "", "Examples", *(f"  {example}" for example in examples)]
    if few and usual:
        usual += tuple(key.path for key in keys if config_name == "restore" and _section(key) == "problem")
        shown = sorted((key for key in keys if key.path in usual), key=lambda key: usual.index(key.path))
        lines += ["", "Usual keys", *itertools.chain.from_iterable(_key_row(key, brief=True) for key in shown)]
    shown_groups = {group: choice for group, choice in groups.items() if not few or group in CHOICES}
    if shown_groups:
        lines += ["", "Groups (an option sets several keys at once; * is chosen here)"]
    for group, choice in reversed(shown_groups.items()):
        options = [
            option for option in group_options(cfg, group) if option not in REFUSED.get((config_name, group), ())
        ]
        lines += _row(group, ", ".join(f"{option}*" if option == choice else option for option in options))
    if few:
        return "\n".join([*lines, "", f"{program} --help all lists all {len(keys)} keys and every group."])
    for section in sorted(dict.fromkeys(map(_section, keys)), key=bool):  # plain keys first, else the schema's order
        option = groups.get(section)
        lines += ["", f"{section}.*{f' with {section}={option}' if option else ''}" if section else "Keys"]
        lines += itertools.chain.from_iterable(_key_row(key) for key in keys if _section(key) == section)
    more = (
        "Other options have other keys: add them to see these, as in `--help all solver=picard` for a command with "
        "that group. -m runs one job for each combination of values; --cfg job prints the configuration without "
        "running; --hydra-help lists Hydra's own flags."
    )
    return "\n".join([*lines, "", *textwrap.wrap(more, _width())])


def _key_row(key: Key, brief: bool = False) -> list[str]:
    assert key.field is not None
    meaning = str(key.field.metadata["help"])
    accepted = f"[{describe(key.field)}]"
    left = f"{key.path}={shown_value(key.value)}"
    if brief:
        return _row(left, re.split(r"[;:] ", meaning)[0], SHORT)
    return _row(left, f"{meaning} {accepted}")


def _section(key: Key) -> str:
    return key.path.split(".")[0] if "." in key.path else ""


def _header(config_name: str, program: str) -> tuple[str, list[str]]:
    """The comment above a command's file in conf/: its first line says what it does, the others are examples, which
    start as the command was started.
    """
    lines = (conf_dir(config_name) / f"{config_name}.yaml").read_text().splitlines()
    comment = [line.lstrip("#").strip() for line in itertools.takewhile(lambda line: line.startswith("#"), lines)]
    if program.startswith("mcnet-"):
        comment = [re.sub(r"python -m mcnet_lightning\.(\w+)", _script, line) for line in comment]
    return comment[0], comment[1:]


def _script(command: re.Match[str]) -> str:
    return f"mcnet-{command[1].replace('_', '-')}"


def _row(left: str, right: str, most: int | None = None) -> list[str]:
    """Two columns, the right one in `most` lines; a long left entry takes a line of its own."""
    wrapped = textwrap.wrap(right, max(30, _width() - COLUMN - 2), max_lines=most, placeholder=" ...") or [""]
    indent = " " * (COLUMN + 2)
    if len(left) >= COLUMN:
        return [f"  {left}", *(indent + line for line in wrapped)]
    return [f"  {left:<{COLUMN}}{wrapped[0]}", *(indent + line for line in wrapped[1:])]


def _width() -> int:
    return min(120, max(60, shutil.get_terminal_size((110, 24)).columns))
