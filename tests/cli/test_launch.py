"""The door of every command: wrong words get one sentence and write nothing; a failure keeps its exit code."""

import dataclasses
import logging
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mcnet_lightning import config
from mcnet_lightning.cli import arguments
from mcnet_lightning.cli.help_page import REFUSED, UNUSED, USUAL
from mcnet_lightning.cli.launch import launch, launch_subcommand
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.config.composition import conf_dir
from mcnet_lightning.config.validation import validate
from mcnet_lightning.errors import ConfigError, DataError

COMMANDS = tuple(config.COMMANDS)
GROUPS = sorted(path.name for path in conf_dir().iterdir() if path.is_dir() and path.name != "hydra")


def group_options(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


TRIED = [group for group in GROUPS if group not in ("experiment", "problem")]  # which choose or refuse others


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test runs in an empty folder that is not the repository's, and leaves logging as it was."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level


class Task:
    """Stands for a command: remembers the configurations that it was run with, and fails as told."""

    def __init__(self, *failures: BaseException) -> None:
        self.configs: list[DictConfig] = []
        self.argv: list[list[str]] = []
        self.failures = dict(enumerate(failures))
        self.__module__, self.__name__ = "mcnet_lightning.train", "run"

    def __call__(self, cfg: DictConfig) -> None:
        self.configs.append(cfg)
        self.argv.append(sys.argv[1:])
        if failure := self.failures.get(cfg.seed):
            raise failure


def run(words: str, *failures: BaseException, config_name: str = "train") -> tuple[Task, int]:
    """Runs a command line; seed=N makes the task raise the N-th failure. Returns the task and the exit code."""
    task = Task(*failures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{config_name}.py", *shlex.split(words)])
        try:
            launch(config_name, task)
        except SystemExit as end:
            return task, int(end.code or 0)
    return task, 0


def written() -> list[Path]:
    return list(Path.cwd().iterdir())


# ---------------------------------------------------------------------------------------- wrong words


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("scal=4", "there is no key 'scal'; did you mean 'scale'?"),
        ("tolerance=1e-4", "did you mean 'solver.tolerance' or 'backward.tolerance' or 'tvtv.tolerance'?"),
        ("lr=1e-4", "there is no key 'lr'; write optimiser.learning_rate=1e-4"),
        ("epochs=5", "there is no key 'epochs'; write trainer.max_epochs=5"),
        ("ckpt_path=a.ckpt", "there is no key 'ckpt_path'; write resume=a.ckpt"),
        ("optimizer.lr=1e-3", "there is no key 'optimizer.lr'; write optimiser.learning_rate=1e-3"),
        ("optimiser.lr=1e-3", "write optimiser.learning_rate=1e-3"),
        ("+model=rcan", "write backbone="),
        ("denoisr.depth=3", "did you mean 'denoiser.depth'?"),
        ("bakbone=srcnn", "did you mean 'backbone'?"),
        ("backbone=srcn", "did you mean 'srcnn'?"),
        ("backbone=null", "the options are bicubic, istanet, precomputed, rcan, rdn, several, spandrel"),
        ("backbone.n_feat=3", "backbone=srcnn has no key 'n_feat'; its keys are: weights"),
        ("backbone=bicubic backbone.weights=bundled", "backbone=bicubic has no key 'weights'"),
        ("trainer.max_epoch=3", "did you mean 'trainer.max_epochs'?"),
        ("trainer.precision=bf16-true", "'trainer.precision' takes one of 32-true, bf16-mixed,"),
        ("trainer.precision=16-true", "'trainer.precision' takes one of 32-true, bf16-mixed,"),
        ("trainer.precision=transformer-engine", "'trainer.precision' takes one of 32-true, bf16-mixed,"),
        ("layer.penalty=1", "layer=fresh has no key 'penalty'"),
        ("scale.x=3", "'scale' is a single value"),
        ("scale=four", "takes one of 2, 3, 4"),
        ("scale=5", "takes one of 2, 3, 4"),
        ("epsilon=abc", "'epsilon' takes a number, at least 0"),
        ("epsilon=-1", "'epsilon' takes a number, at least 0"),
        ("epsilon=nan", "'epsilon' takes a number, at least 0"),
        ("epsilon=inf", "'epsilon' takes a number, at least 0"),
        ("seed=1.5", "'seed' takes a whole number"),
        ("seed=true", "'seed' takes a whole number"),
        ("solver.mixing=0", "a number, above 0, below 2"),
        ("solver.tolerance=0", "a number, above 0"),
        ("operator.boundary=symetric", "did you mean 'symmetric'?"),
        ("data.test=Set5", "takes a list of words"),
        ("method=[mcnet,foo]", "method=[mcnet,foo]: 'method' has no such option; the options are backbone,"),
        ("data.patch_size=50 scale=3", "not a multiple of scale=3; take data.patch_size=51"),
        ("data=folder", "data.root has no value, and data=folder needs one"),
        ("data.root=nowhere", "there is no such folder"),
        ("layer.weights=nothing.ckpt", "there is no such file; give 'bundled' or 'none' or the path of a file"),
        ("+foo=1", "no key can be added"),
        ("+scale=3", "write scale=3, without the '+'"),
        ("++foo=1", "there is no key 'foo'"),
        ("~logger", "nothing can be taken away"),
        ("scale", "write KEY=VALUE"),
        ("--multitude", "unrecognized"),
        ("scale=2,3", "add -m"),
        ("-m scale=2,7", "scale=7: 'scale' takes one of 2, 3, 4"),
        ("-m scale=range(2,6)", "scale=5: 'scale' takes one of 2, 3, 4"),
        ("-m backbone=srcnn,bicubic backbone.weights=bundled", "backbone=bicubic has no key 'weights'"),
        ("hydra/launcher=nope", "hydra/launcher/nope"),
    ],
)
def test_wrong_words_get_one_sentence_and_nothing_is_written(
    words: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    task, code = run(words)
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert answer in error
    assert not task.configs
    assert not written()


def test_a_large_sweep_is_checked_value_by_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(arguments, "MAX_COMPOSED_JOBS", 3)
    task, code = run("-m seed=0,1 epsilon=0,-1")
    assert (code, task.configs) == (2, [])
    assert "epsilon=-1" in capsys.readouterr().err
    assert not written()


def test_values_from_files_are_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "wrong.yaml").write_text("# @package _global_\nscal: 3\n")
    (folder / "outside.yaml").write_text("# @package _global_\nepsilon: -2\n")
    for words, answer in (("experiment=wrong", "'scal'"), ("experiment=outside", "epsilon=-2")):
        _, code = run(f"--config-dir {tmp_path / 'mine'} {words}")
        error = capsys.readouterr().err
        assert code == 2
        assert answer in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    [
        b"\x00",
        "scale: 3".encode("utf-16"),
        b"scale: 3\n\tseed: 1",
        b"- 1\n- 2",
        b"seed: !!python/object/apply:os.mkdir [run]",
        b"scale: 2\nscale: 3",
        b"seed: " + b"[" * 700,
        b"a: &a [1, 2]\n" + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in b"bcdefgh"),
        b"a: &a [*a]",
        b"seed: ${a",
    ],
    ids=["nul", "utf-16", "tab", "list", "python", "twice", "deep", "bomb", "circle", "interpolation"],
)
def test_a_file_that_is_no_settings_is_named(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "odd.yaml").write_bytes(b"# @package _global_\n" + content)
    _, code = run(f"--config-dir {tmp_path / 'mine'} experiment=odd")
    error = capsys.readouterr().err
    assert code == 2
    assert f"{folder / 'odd.yaml'} cannot be read as settings (" in error
    assert error.count("\n") == 1
    assert [path.name for path in written()] == ["mine"]


def test_validate_stands_alone() -> None:
    cfg = compose_config("train", ["scale=3"])
    validate(cfg)
    cfg.solver.tolerance = 0.0
    with pytest.raises(ConfigError, match=r"solver\.tolerance=0: .* above 0"):
        validate(cfg)


# ---------------------------------------------------------------------------------------- right words


def test_task_receives_the_typed_configuration() -> None:
    task, code = run("scale=3 epsilon=0.1 solver=picard trainer.max_epochs=1 trainer.limit_train_batches=2")
    assert code == 0
    (cfg,) = task.configs
    assert (cfg.scale, cfg.epsilon, cfg.trainer.max_epochs) == (3, 0.1, 1)
    solver = OmegaConf.get_type(cfg.solver)
    assert solver is not None
    assert solver.__name__ == "PicardSolver"
    assert isinstance(cfg.trainer.limit_train_batches, int)
    assert "hydra" not in cfg
    (folder,) = Path("outputs/train").iterdir()
    assert (folder / ".hydra" / "config.yaml").is_file()


def test_sweep_runs_every_job_in_a_readable_folder() -> None:
    task, code = run("epsilon=0.1 -m scale=2,3 data.root=.")  # flags may stand anywhere
    assert code == 0
    assert [cfg.scale for cfg in task.configs] == [2, 3]
    (sweep,) = Path("multirun/train").iterdir()
    assert {path.name for path in sweep.iterdir() if path.is_dir()} == {"scale=2", "scale=3"}


def test_hydra_flags_still_work(capsys: pytest.CaptureFixture[str]) -> None:
    task, code = run("--cfg job scale=4 data=folder")
    assert code == 0
    assert not task.configs
    assert yaml.safe_load(capsys.readouterr().out)["scale"] == 4
    assert not written()
    task, code = run("hydra.run.dir=here scale=4")
    assert code == 0
    assert Path("here/.hydra").is_dir()


def test_task_sees_the_command_line_as_typed() -> None:
    task, _ = run("scale=3 hydra.run.dir=here")
    assert task.argv == [["scale=3", "hydra.run.dir=here"]]


# ---------------------------------------------------------------------------------------- failures of the task


def test_failure_is_one_sentence_with_its_own_code_and_leaves_no_empty_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, code = run("seed=0", DataError("picture.png is no image;\nremove it"))
    assert code == DataError.exit_code
    assert capsys.readouterr().err == "error: picture.png is no image; remove it\n"
    assert not Path("outputs").exists()


def test_failure_wrapped_by_instantiate_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    outer = RuntimeError("Error in call to target")
    outer.__cause__ = DataError("no such set")
    _, code = run("seed=0", outer)
    assert code == DataError.exit_code
    assert capsys.readouterr().err == "error: no such set\n"


def test_failure_keeps_what_a_run_has_written() -> None:
    def task(cfg: DictConfig) -> None:
        (Path(HydraConfig.get().runtime.output_dir) / "history.csv").touch()
        raise DataError("late")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py"])
        with pytest.raises(SystemExit):
            launch("train", task)
    assert len(list(Path("outputs/train").glob("*/history.csv"))) == 1


def test_failure_in_a_sweep_ends_only_its_job(capsys: pytest.CaptureFixture[str]) -> None:
    task, code = run("-m seed=0,1,2", DataError("first"))
    assert code == DataError.exit_code
    assert [cfg.seed for cfg in task.configs] == [0, 1, 2]
    error = capsys.readouterr().err
    assert "seed=0 failed: first" in error
    assert "Traceback" not in error


def test_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run("seed=0", ZeroDivisionError())


def test_interruption_exits_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("seed=0", KeyboardInterrupt())[1] == 130
    assert capsys.readouterr().err == "interrupted\n"
    lightning = SystemExit(1)  # what Lightning makes of Ctrl-C
    lightning.__context__ = KeyboardInterrupt()
    assert run("seed=0", lightning)[1] == 130
    assert run("seed=0", SystemExit(3))[1] == 3


# ---------------------------------------------------------------------------------------- commands with a first word


def pretrain(words: str) -> tuple[Task, Task, int]:
    first, second = Task(), Task()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pretrain.py", *shlex.split(words)])
        try:
            launch_subcommand({"denoiser": ("pretrain_denoiser", first), "backbone": ("pretrain_backbone", second)})
        except SystemExit as end:
            return first, second, int(end.code or 0)
    return first, second, 0


def test_first_word_chooses_the_task() -> None:
    denoiser, backbone, code = pretrain("denoiser noise_level=[0.1,0.2] hydra.run.dir=here")
    assert (len(denoiser.configs), len(backbone.configs), code) == (1, 0, 0)
    assert denoiser.argv[0][0] == "denoiser"  # the task sees the whole line, for processes that repeat it
    _, backbone, code = pretrain("-m backbone scale=2,3")
    assert [cfg.scale for cfg in backbone.configs] == [2, 3]
    denoiser, *_ = pretrain("-m denoiser noise_level=[0.0125,0.025],[0.0625,0.125]")
    assert [cfg.noise_level for cfg in denoiser.configs] == [[0.0125, 0.025], [0.0625, 0.125]]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("", "denoiser|backbone"),
        ("scale=2", "denoiser|backbone"),
        ("denoisr", "did you mean 'denoiser'?"),
        ("denoiser scale=2", "there is no key 'scale'"),
        ("denoiser noise_level=[0.2,0.1]", "two ends"),
    ],
)
def test_wrong_first_word_is_answered(words: str, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    *_, code = pretrain(words)
    assert code == 2
    assert answer in capsys.readouterr().err
    assert not written()


def test_help_without_a_first_word_lists_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    *_, code = pretrain("--help")
    assert code == 0
    assert "pretrain denoiser --help" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_group_option_and_key(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    task, code = run("--help all", config_name=command)
    page = capsys.readouterr().out
    assert code == 0
    assert not task.configs
    assert not written()
    keys = set(_settings(compose_config(command))) - set(UNUSED.get(command, ())) - set(group_choices_of(command))
    for path in keys:
        assert f"  {path}=" in page, path
    for group in group_choices_of(command):
        for option in set(group_options(group)) - set(REFUSED.get((command, group), ())):
            assert option in page
    assert f"python -m mcnet_lightning.{command.split('_')[0]}" in page


def group_choices_of(command: str) -> list[str]:
    """The groups in a command's defaults list, Hydra's own aside."""
    defaults = yaml.safe_load((conf_dir() / f"{command}.yaml").read_text())["defaults"]
    return [group for entry in defaults if isinstance(entry, dict) for group in entry if group != "hydra"]


def test_commands_that_write_where_told_leave_no_folder_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Path("x.png").touch()
        patch.setattr(sys, "argv", ["restore.py", "input=x.png", "output=out"])
        launch("restore", lambda cfg: print(cfg.output))
    assert capsys.readouterr().out == "out\n"
    assert written() == [Path.cwd() / "x.png"]


def test_help_shows_the_keys_of_a_chosen_option(capsys: pytest.CaptureFixture[str]) -> None:
    run("--help all solver=picard data=folder")
    page = capsys.readouterr().out
    assert "picard*" in page
    assert "solver.max_evaluations=500" in page
    assert "solver.history_size" not in page
    assert "data.root=???" in page


@pytest.mark.parametrize("command", sorted(USUAL))
def test_help_has_examples_first_and_the_usual_keys_on_one_screen(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run("--help", config_name=command)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 50
    assert lines.index("Examples") < lines.index("Usual keys")
    assert all(f"  {key}=" in "\n".join(lines) for key in USUAL[command])
    assert max(len(line) for line in lines if "python -m" not in line and "usage" not in line) <= 80
    assert "--help all lists all" in lines[-1]


def test_a_script_is_called_by_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["/usr/bin/mcnet-search-beta", "--help"])
        launch("search_beta", Task())
    page = capsys.readouterr().out
    assert "usage: mcnet-search-beta" in page
    assert "  mcnet-search-beta " in page
    assert "python -m" not in page


@pytest.mark.parametrize(
    "words",
    [
        "train --help",
        "evaluate --help",
        "report --help",
        "pretrain backbone --help",
        "train scal=4",
        "restore x.png out",
    ],
)
def test_help_and_refusals_do_not_import_torch(words: str) -> None:
    module, *argv = words.split()
    code = (
        f"import sys, runpy; sys.argv = ['{module}', *{argv}]\n"
        f"try: runpy.run_module('mcnet_lightning.{module}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pytorch_lightning', 'wandb', 'skimage'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)


# ---------------------------------------------------------------------------------------- conf/ and schemas


@pytest.mark.parametrize(
    ("tried", "number"),
    [(g, n) for g in (TRIED, ["problem"]) for n in range(max(len(group_options(group)) for group in g))],
)
def test_every_option_composes(tried: list[str], number: int) -> None:
    """The options of this number of all groups, those of a command together."""
    left = {group: group_options(group)[number] for group in tried if number < len(group_options(group))}
    for command in COMMANDS:  # the first that has the group
        defaults = yaml.safe_load((conf_dir() / f"{command}.yaml").read_text())["defaults"]
        known = {group for entry in defaults if isinstance(entry, dict) for group in entry}
        if words := [f"{group}={left.pop(group)}" for group in known & left.keys()]:
            assert compose_config(command, words)
    assert not left, "no command has these groups"


@pytest.mark.parametrize("name", group_options("experiment"))
def test_every_experiment_composes_with_its_own_command_line(name: str) -> None:
    text = (conf_dir() / "experiment" / f"{name}.yaml").read_text()
    lines = re.findall(r"^#\s+python -m mcnet_lightning\.(.*)$", text, re.MULTILINE)
    assert lines, "an experiment file says how it is run"
    for line in lines:
        words = [word for word in shlex.split(line)[1:] if word != "-m"]
        command = line.split()[0]
        if words and "=" not in words[0]:
            command = f"{command}_{words.pop(0)}"
        assert f"experiment={name}" in words
        compose_config(command, [re.sub(r"=([^\[,]*),.*", r"=\1", word) for word in words])  # a sweep: its first value


def test_every_file_in_conf_says_what_it_is() -> None:
    for path in conf_dir().rglob("*.yaml"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
        assert re.match(r"# \w", lines[0]), path


def test_every_key_has_a_meaning() -> None:
    for schema in vars(config).values():
        if dataclasses.is_dataclass(schema):
            for field in dataclasses.fields(schema):
                nested = field.type is Any or dataclasses.is_dataclass(field.type)
                fixed = field.name in ("_target_", "name")
                assert "help" in field.metadata or nested or fixed, f"{schema}.{field.name}"


def _settings(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    """Dotted paths of everything that can be set (an independent walk)."""
    for name in map(str, cfg):
        if not OmegaConf.is_missing(cfg, name) and isinstance(cfg[name], DictConfig):
            yield from _settings(cfg[name], f"{prefix}{name}.")
        elif name not in ("_target_", "name") or prefix == "protocol.":
            yield f"{prefix}{name}"
