"""Starts a command: `--help`, checks before anything is written, then the task under Hydra, then an exit code.

    def main() -> None:
        launch("train", run)      # run(cfg) reads cfg.scale, cfg.backbone, ...

Imports neither torch nor Lightning; a task imports them when it runs.
"""

import contextlib
import difflib
import functools
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from mcnet_lightning.cli.arguments import (
    check_arguments,
    flags_first,
    help_configuration,
    parse_flags,
)
from mcnet_lightning.cli.first_failure import (
    AGAIN,
    FailedElsewhereError,
    first_failure,
    forget_failures,
    in_company,
    name_run,
)
from mcnet_lightning.cli.first_failure import NAME as FAILURE
from mcnet_lightning.cli.help_page import help_page
from mcnet_lightning.cli.opening import say_what_begins
from mcnet_lightning.cli.process import (
    end_with_parent,
    flush_subnormals,
    keep_streams_open,
    settle_matplotlib,
    tune_process,
)
from mcnet_lightning.cli.run_folder import ELSEWHERE, release_claims
from mcnet_lightning.cli.words import hydra_words
from mcnet_lightning.config import register_schemas
from mcnet_lightning.config.composition import conf_dir
from mcnet_lightning.errors import ConfigError, MCNetError
from mcnet_lightning.files import disk_failure, unwritable
from mcnet_lightning.files.writer import is_first_process
from mcnet_lightning.sweeps import Program, swept_job
from mcnet_lightning.sweeps.record import LOCK

Task = Callable[[DictConfig], Any]

INTERRUPTED = 130  # what a shell reports after Ctrl-C
TERMINATED = 143  # and after SIGTERM
LAUNCHERS = ("submitit", "joblib")  # whose own exceptions say that a job's process has gone


def launch(config_name: str, task: Task) -> None:
    """Runs `task` with the configuration that conf/`config_name`.yaml and the command line make.

    A wrong command line exits with 2 and has written nothing. An MCNetError of the task becomes one line and its own
    exit code; in a sweep it ends only its job. Any other exception is a bug and keeps its traceback (exit code 1).
    """
    keep_streams_open()
    _launch(config_name, task, _typed(config_name), _program())


def launch_subcommand(tasks: dict[str, tuple[str, Task]]) -> None:
    """Like `launch`, for a command whose first word chooses: {"denoiser": ("pretrain_denoiser", run_denoiser), ...}."""
    keep_streams_open()
    argv = _typed("")
    position = next((i for i, word in enumerate(argv) if not word.startswith("-") and "=" not in word), None)
    words = " or ".join(tasks)
    if position is None:
        if "-h" in argv or "--help" in argv:
            print(f"usage: {_program()} WORD [GROUP=OPTION ...] [KEY=VALUE ...]\n\nWORD is {words}:")
            for word in tasks:
                print(f"  {_program()} {word} --help")
            return
        _fail(ConfigError(f"say what: {_program()} {words.replace(' or ', '|')} ..."))
    word = argv.pop(position)
    if word not in tasks:
        close = difflib.get_close_matches(word, tasks, n=1)
        _fail(ConfigError(f"'{word}' is not one of {words}" + (f"; did you mean '{close[0]}'?" if close else "")))
    config_name, task = tasks[word]
    _launch(config_name, task, argv, f"{_program()} {word}")


def _typed(config_name: str) -> list[str]:
    """The command line in Hydra's words, which also the processes see that Lightning starts by repeating it."""
    try:
        sys.argv[1:] = hydra_words(config_name, sys.argv[1:])
    except MCNetError as error:
        _fail(error)
    return sys.argv[1:]


def _launch(config_name: str, task: Task, argv: list[str], program: str) -> None:
    try:
        flags = parse_flags(argv)
        if flags.help:
            everything = "all" in flags.overrides
            flags.overrides = [word for word in flags.overrides if word != "all"]
            print(help_page(config_name, program, help_configuration(config_name, flags), everything))
            return
        if not (flags.shell_completion or flags.hydra_help or flags.experimental_rerun or flags.config_path):
            check_arguments(config_name, flags)
    except MCNetError as error:
        _fail(error)
    tune_process()
    settle_matplotlib()
    if "LOCAL_RANK" in os.environ:
        end_with_parent()
    name_run()
    first = [word for word in sys.argv[1:] if word not in argv]  # such as the `backbone` of `pretrain backbone`
    kept = [word for word in argv if word not in flags.overrides and word not in ("-m", "--multirun")]
    _run(config_name, task, flags_first(argv, flags), Program(sys.argv[0], (*first, *kept)))


def _run(config_name: str, task: Task, argv: list[str], program: Program) -> None:
    """Hands over to Hydra, which reads `argv`; the task itself sees the command line as it was typed, or as it would
    have been typed for this job of a sweep alone.
    """
    typed, failures, begun = sys.argv, list[MCNetError](), list[bool]()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra would cut the traceback of a bug

    @functools.wraps(task)
    def job(cfg: DictConfig) -> Any:
        begun.append(True)
        sys.argv = typed  # Lightning repeats it to start the other processes of DDP
        os.chdir(HydraConfig.get().runtime.cwd)  # hydra.job.chdir=true must not move the paths that were typed
        flush_subnormals()
        swept = HydraConfig.get().mode == RunMode.MULTIRUN
        folder = Path(HydraConfig.get().runtime.output_dir)
        if is_first_process() and not in_company():  # before it starts the others
            forget_failures(folder)
        try:
            with swept_job(cfg, program) if swept else contextlib.nullcontext():
                say_what_begins(config_name, cfg)
                return _once(task, cfg, folder)
        except Exception as error:
            failure = _failure_behind(error)
            if swept:  # Hydra goes on and raises the first failure at the end
                said = f"{folder.name} failed: {_line(failure)}" if failure else traceback.format_exc()
                if not isinstance(failure, FailedElsewhereError):
                    print(said, file=sys.stderr)
                raise (failure or error) from None
            if failure is None:
                raise
            failures.append(failure)
            _remove_traces(folder)

    register_schemas()
    try:
        sys.argv = [typed[0], *argv]
        hydra.main(version_base="1.3", config_path=str(conf_dir(config_name)), config_name=config_name)(job)()
    except MCNetError as error:  # of the first job that failed in a sweep
        _fail(error)
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C into exit code 1
            _interrupted()
        if type(end).__name__ == "SIGTERMException":  # Lightning's, with exit code 0
            print(f"terminated; {AGAIN}", file=sys.stderr)
            raise SystemExit(TERMINATED) from None
        raise
    except Exception as error:
        if isinstance(error, OSError) and (not begun or disk_failure(error) is not None):
            place = error.filename or "the run's folder"
            _fail(unwritable(place, error, ELSEWHERE))
        if not type(error).__module__.startswith(LAUNCHERS):
            raise
        _fail(MCNetError(f"a job was ended from outside ({_first_line(error)}); {AGAIN}"))
    finally:
        sys.argv = typed
        release_claims()
    if failures:
        _fail(failures[0])


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


def _remove_traces(output_dir: Path) -> None:
    """Deletes the folder of a run that failed before it wrote anything of its own."""
    entries = {path.name for path in output_dir.iterdir()} if output_dir.is_dir() else set()
    own = {name for name in entries if name in (".hydra", LOCK) or name.startswith(FAILURE)}
    if ".hydra" not in entries or entries != own or output_dir.resolve() == Path.cwd():
        return
    with contextlib.suppress(OSError):
        for path in [*(output_dir / ".hydra").iterdir(), *(output_dir / name for name in own - {".hydra"})]:
            path.unlink()
        (output_dir / ".hydra").rmdir()
        output_dir.rmdir()


def _program() -> str:
    stem = Path(sys.argv[0]).stem
    return stem if stem.startswith("mcnet-") else f"python -m mcnet_lightning.{stem}"


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
