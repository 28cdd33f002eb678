"""Starts a command: `--help`, checks before anything is written, then the task under Hydra, then an exit code.

    def main() -> None:
        launch("train", run)      # run(cfg) reads cfg.scale, cfg.backbone, ...

Imports neither torch nor Lightning; a task imports them when it runs.
"""

import argparse
import contextlib
import difflib
import functools
import gc
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, read_write

from mcnet_lightning.cli.arguments import check_arguments, help_configuration, parse_flags
from mcnet_lightning.cli.command_line import CommandLine
from mcnet_lightning.cli.first_failure import (
    AGAIN,
    FailedElsewhereError,
    first_failure,
    forget_failures,
    in_company,
    name_run,
)
from mcnet_lightning.cli.help_page import help_page
from mcnet_lightning.cli.opening import say_what_begins
from mcnet_lightning.cli.process import (
    end_with_parent,
    flush_subnormals,
    keep_streams_open,
    settle_matplotlib,
    tune_process,
)
from mcnet_lightning.cli.run_folder import ELSEWHERE, release_claims, remove_traces
from mcnet_lightning.config import register_schemas
from mcnet_lightning.config.composition import conf_dir
from mcnet_lightning.config.running import running
from mcnet_lightning.errors import ConfigError, MCNetError, Terminated
from mcnet_lightning.files import disk_failure, unwritable
from mcnet_lightning.files.extras import require_extras
from mcnet_lightning.files.writer import is_first_process
from mcnet_lightning.sweeps import swept_job

Task = Callable[[DictConfig], Any]

INTERRUPTED = 130  # what a shell reports after Ctrl-C
LAUNCHERS = ("submitit", "joblib")  # whose own exceptions say that a job's process has gone


def launch(config_name: str, task: Task, *extras: str) -> None:
    """Runs `task` with the configuration that conf/`config_name`.yaml and the command line make.

    A wrong command line exits with 2 and has written nothing, and so does a command one of whose `extras` is not
    installed. An MCNetError of the task becomes one line and its own exit code; in a sweep it ends only its job. Any
    other exception is a bug and keeps its traceback (exit code 1).
    """
    keep_streams_open()
    _launch(config_name, task, extras, _typed(config_name))


def launch_subcommand(tasks: dict[str, tuple[str, Task]], *extras: str) -> None:
    """Like `launch`, for a command whose first word chooses: {"denoiser": ("pretrain_denoiser", run_denoiser), ...}."""
    keep_streams_open()
    line = _typed("")
    position = next((i for i, word in enumerate(line.words) if not word.startswith("-") and "=" not in word), None)
    words = " or ".join(tasks)
    if position is None:
        if "-h" in line.words or "--help" in line.words:
            print(f"usage: {line.program} WORD [GROUP=OPTION ...] [KEY=VALUE ...]\n\nWORD is {words}:")
            for word in tasks:
                print(f"  {line.program} {word} --help")
            return
        _fail(ConfigError(f"say what: {line.program} {words.replace(' or ', '|')} ..."))
    word = line.words[position]
    if word not in tasks:
        close = difflib.get_close_matches(word, tasks, n=1)
        _fail(ConfigError(f"'{word}' is not one of {words}" + (f"; did you mean '{close[0]}'?" if close else "")))
    config_name, task = tasks[word]
    _launch(config_name, task, extras, line.choosing(position))


def _typed(config_name: str) -> CommandLine:
    try:
        return CommandLine.typed(config_name)
    except ConfigError as error:
        _fail(error)


def _launch(config_name: str, task: Task, extras: tuple[str, ...], line: CommandLine) -> None:
    gc.disable()  # composing makes many small objects, and hardly any that are garbage
    try:
        flags = parse_flags(list(line.words))
        if flags.help:
            everything = "all" in flags.overrides
            flags.overrides = [word for word in flags.overrides if word != "all"]
            print(help_page(config_name, line.program, help_configuration(config_name, flags), everything))
            return
        if not (flags.shell_completion or flags.hydra_help or flags.experimental_rerun or flags.config_path):
            check_arguments(config_name, flags)
        if not (flags.cfg or flags.info):  # which only show a configuration
            require_extras(extras)
    except MCNetError as error:
        _fail(error)
    finally:
        gc.enable()
    tune_process()
    settle_matplotlib()
    if "LOCAL_RANK" in os.environ:
        end_with_parent()
    name_run()
    _run(config_name, task, line, flags)


def _run(config_name: str, task: Task, line: CommandLine, flags: argparse.Namespace) -> None:
    """Hands over to Hydra; the task itself runs under the command line as it was typed, or as it would have been typed
    for this job of a sweep alone.
    """
    failures, begun = list[MCNetError](), list[bool]()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra would cut the traceback of a bug

    @functools.wraps(task)
    def job(cfg: DictConfig) -> Any:
        begun.append(True)
        say_what_begins(config_name, cfg)
        hydra_config = HydraConfig.get()
        os.chdir(hydra_config.runtime.cwd)  # hydra.job.chdir=true must not move the paths that were typed
        flush_subnormals()
        folder = Path(hydra_config.runtime.output_dir)
        if is_first_process() and not in_company():  # before it starts the others
            forget_failures(folder)
        if hydra_config.mode == RunMode.MULTIRUN:
            return _swept(task, cfg, folder, line, flags)
        try:
            with _in_force(line):
                return _once(task, cfg, folder)
        except Exception as error:
            failure = _failure_behind(error)
            if failure is None:
                raise
            failures.append(failure)
            remove_traces(folder)

    register_schemas(config_name)
    try:
        with line.flags_first(flags).shown():
            hydra.main(version_base="1.3", config_path=str(conf_dir(config_name)), config_name=config_name)(job)()
    except MCNetError as error:  # of the first job that failed in a sweep
        _fail(error)
    except KeyboardInterrupt:
        _interrupted()
    except Terminated:
        print(f"terminated; {AGAIN}", file=sys.stderr)
        raise
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C into exit code 1
            _interrupted()
        raise
    except Exception as error:
        if isinstance(error, OSError) and (not begun or disk_failure(error) is not None):
            place = error.filename or "the run's folder"
            _fail(unwritable(place, error, ELSEWHERE))
        if not type(error).__module__.startswith(LAUNCHERS):
            raise
        _fail(MCNetError(f"a job was ended from outside ({_first_line(error)}); {AGAIN}"))
    finally:
        release_claims()
    if failures:
        _fail(failures[0])


def _swept(task: Task, cfg: DictConfig, folder: Path, line: CommandLine, flags: argparse.Namespace) -> Any:
    """One job of a sweep. What it fails by is printed and raised: Hydra goes on and raises the first at the end."""
    overrides = list(HydraConfig.get().overrides.task)
    hydra_part: Any = HydraConfig.instance().cfg
    with read_write(hydra_part.hydra.run):
        hydra_part.hydra.run.dir = str(folder)  # where Lightning starts the other processes of DDP
    try:
        with swept_job(cfg, folder, overrides) as words, _in_force(line.of_job(flags, words), alone=True):
            return _once(task, cfg, folder)
    except Exception as error:
        failure = _failure_behind(error)
        said = f"{folder.name} failed: {_line(failure)}" if failure else traceback.format_exc()
        if not isinstance(failure, FailedElsewhereError):
            print(said, file=sys.stderr)
        raise (failure or error) from None


@contextlib.contextmanager
def _in_force(line: CommandLine, alone: bool = False) -> Iterator[None]:
    """Within it, this is the command that Lightning repeats, and that the run writes down."""
    before = running.set(line.running)
    try:
        with line.shown_alone() if alone else line.shown():
            yield
    finally:
        running.reset(before)


def _once(task: Task, cfg: DictConfig, folder: Path) -> Any:
    """Runs the task. A failure that another process of this run has said is not said again."""
    try:
        return task(cfg)
    except Exception as error:
        elsewhere = first_failure(error, _failure_behind(error), folder)
        if elsewhere is not None:
            raise elsewhere from None
        raise


def _failure_behind(error: BaseException | None) -> MCNetError | None:
    """The MCNetError that `error` is or was caused by (`instantiate` wraps what it meets); a disk's refusal is one."""
    while error is not None and not isinstance(error, MCNetError):
        if isinstance(error, OSError) and (failure := disk_failure(error)) is not None:
            return failure
        error = error.__cause__
    return error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _fail(error: MCNetError) -> NoReturn:
    if not isinstance(error, FailedElsewhereError):
        print(f"error: {_line(error)}", file=sys.stderr)
    raise SystemExit(error.exit_code)


def _interrupted() -> NoReturn:
    print("interrupted", file=sys.stderr)
    raise SystemExit(INTERRUPTED)
