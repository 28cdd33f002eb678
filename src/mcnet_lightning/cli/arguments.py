"""Reads a command line as Hydra does and refuses a wrong one, in one sentence, before anything is written.

Each word is checked on its own first, so that the answer can name the nearest valid key; then every job of a sweep is
composed and validated as a whole.
"""

import argparse
import itertools
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.override_parser.types import Override, ValueType
from hydra.types import RunMode
from omegaconf import DictConfig

from mcnet_lightning.config.checking import Checker
from mcnet_lightning.config.composition import check_files, composing, group_choices, group_options, without_hydra
from mcnet_lightning.config.overrides import check_grid, parse
from mcnet_lightning.config.problems import images_of
from mcnet_lightning.config.validation import check_complete
from mcnet_lightning.errors import ConfigError, printable
from mcnet_lightning.files.private_apis import hydra_flags

GRID = "sweep"  # the group whose files name the values of a sweep
MAX_COMPOSED_JOBS = 32  # a larger sweep is checked value by value, the other axes at their first


def parse_flags(argv: list[str]) -> argparse.Namespace:
    """Hydra's own flags and, under `overrides`, the KEY=VALUE words; both may come in any order."""
    for word in argv:
        if printable(word) != word:  # over some of which Hydra's lexer would think for ever
            raise ConfigError(f"{word} has signs that are no text; rename the file, or give the folder it lies in")
    parser = hydra_flags()

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"{message} (--help shows what can be given)")

    parser.error = refuse  # type: ignore[method-assign]  # Hydra makes the parser, which would exit
    return parser.parse_intermixed_args(argv)


def help_configuration(config_name: str, flags: argparse.Namespace) -> DictConfig:
    """What --help describes: the defaults, or those of the options that stand beside --help."""
    extra = _own_folder(flags)
    with composing(config_name):
        return Checker(config_name).job(extra + list(flags.overrides))


def check_arguments(config_name: str, flags: argparse.Namespace) -> None:
    """Raises ConfigError unless every job that the command line asks for is a valid one."""
    if flags.config_dir:
        check_files(Path(flags.config_dir), flags.config_name or config_name)
    extra = _own_folder(flags)
    with composing(config_name):
        overrides = parse(flags.overrides)
        check = Checker(flags.config_name or config_name)
        single = [o for o in overrides if not o.is_sweep_override()]
        hydra_words = extra + [str(o.input_line) for o in single if o.is_hydra_override()]
        grids = [o for o in single if o.key_or_group == GRID]
        for o in grids:
            check_grid(o, check.composed(hydra_words))
        for words in _jobs(overrides, flags, check.composed(hydra_words + [str(o.input_line) for o in grids])):
            cfg = check.job(extra + words)
            if not (flags.cfg or flags.info):  # which only show a configuration
                check_complete(without_hydra(cfg), group_choices(cfg), images_of(cfg))


def _own_folder(flags: argparse.Namespace) -> list[str]:
    """What makes Hydra look into --config-dir, too. Modules in it, or in the current folder, can be imported from now
    on, here and in the processes that this one starts.
    """
    folders = [Path.cwd()]
    if flags.config_dir:
        folders.insert(0, Path(flags.config_dir).absolute())
    added = [str(folder) for folder in folders if str(folder) not in sys.path]
    sys.path += added
    known = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [known, *added]))
    return [f"hydra.searchpath=[file://{folders[0]}]"] if flags.config_dir else []


def _jobs(overrides: list[Override], flags: argparse.Namespace, cfg: DictConfig) -> list[list[str]]:
    """The jobs as lists of plain words: one, or those of a sweep (command line and `hydra.sweeper.params`)."""
    if not (flags.multirun or cfg.hydra.mode == RunMode.MULTIRUN):
        for o in overrides:
            if o.is_sweep_override():
                raise ConfigError(
                    f"{o.input_line}: these are several values; add -m to run one job for each, "
                    f"or write {o.key_or_group}=[...] where a list is meant"
                )
        return [[str(o.input_line) for o in overrides]]
    given = {o.get_key_element() for o in overrides}
    configured = parse([f"{key}={value}" for key, value in (cfg.hydra.sweeper.get("params") or {}).items()])
    axes = [_axis(o, cfg) for o in [*(o for o in configured if o.get_key_element() not in given), *overrides]]
    if math.prod(len(axis) for axis in axes) <= MAX_COMPOSED_JOBS:
        return [list(job) for job in itertools.product(*axes)]
    first = [axis[0] for axis in axes]
    return [[*first[:i], word, *first[i + 1 :]] for i, axis in enumerate(axes) for word in axis]


def _axis(override: Override, cfg: DictConfig) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    words = [f"{override.get_key_element()}={value}" for value in _values(override, cfg)]
    if not words:
        raise ConfigError(f"{override.input_line}: this sweep has no values")
    return words


def _values(override: Override, cfg: DictConfig) -> Iterator[Any]:
    sweep: Any = override.value()
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        return iter(sweep.filter(group_options(cfg, override.key_or_group)))
    if override.value_type == ValueType.INTERVAL_SWEEP:
        return iter((sweep.start, sweep.end))
    return override.sweep_string_iterator()
