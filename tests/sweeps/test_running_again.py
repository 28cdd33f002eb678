"""A sweep run again: what is complete stays, what was killed goes on, what failed or is out of date starts afresh."""

import csv
import logging
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mcnet_lightning.cli.arguments import check_arguments
from mcnet_lightning.cli.launch import launch
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.errors import CertificateError, DataError
from mcnet_lightning.sweeps import content
from mcnet_lightning.sweeps.record import JobRecord, job_lock, read_record

Action = Callable[[DictConfig, Path], None]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(content, "code_version", lambda: "this code")
    monkeypatch.setattr("mcnet_lightning.cli.launch.check_arguments", lambda *_: None)  # half the time; not of sweeps
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level


def sweep(words: str, action: Action = lambda config, folder: None) -> tuple[list[str], int]:
    """Runs a sweep whose jobs do `action`. Returns the names of the jobs that ran, and the exit code."""
    ran: list[str] = []

    def task(config: DictConfig) -> None:
        folder = Path(HydraConfig.get().runtime.output_dir)
        ran.append(folder.name)
        action(config, folder)

    task.__module__ = "mcnet_lightning.train"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *shlex.split(words)])
        try:
            launch("train", task)
        except SystemExit as end:
            return ran, int(end.code or 0)
    return ran, 0


def job_folder(name: str) -> Path:
    (folder,) = Path("multirun/train").glob(f"*/{name}")
    return folder


def table() -> list[dict[str, str]]:
    (path,) = Path("multirun/train").glob("*/sweep.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_complete_jobs_are_not_touched() -> None:
    sweep("-m scale=2,3")
    files = [path for path in Path("multirun").rglob("*") if path.is_file() and path.parent.name != "multirun"]
    times = {path: path.stat().st_mtime_ns for path in files if "scale=" in str(path)}
    ran, code = sweep("-m scale=2,3")
    assert (ran, code) == ([], 0)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert [row["state"] for row in table()] == ["complete", "complete"]


def test_order_of_words_launcher_and_logger_do_not_make_another_sweep() -> None:
    sweep("-m scale=2,3 epsilon=0.1")
    assert sweep("epsilon=0.1 logger=csv scale=2,3 -m")[0] == []
    assert len(list(Path("multirun/train").iterdir())) == 1


def test_a_job_that_was_stopped_goes_on_from_its_own_checkpoint() -> None:
    resumed: list[str | None] = []

    def stop_at_first(config: DictConfig, folder: Path) -> None:
        resumed.append(config.resume)
        if config.scale == 3 and config.resume is None:
            (folder / "checkpoints").mkdir()
            (folder / "checkpoints" / "last.ckpt").touch()
            raise SystemExit(9)

    ran, code = sweep("-m scale=2,3,4", stop_at_first)
    assert (ran, code) == (["scale=2", "scale=3"], 9)
    assert [row["state"] for row in table()] == ["complete", "killed", "waiting"]
    ran, code = sweep("-m scale=2,3,4", stop_at_first)
    assert (ran, code) == (["scale=3", "scale=4"], 0)
    assert resumed == [None, None, str(job_folder("scale=3").resolve() / "checkpoints" / "last.ckpt"), None]
    assert [row["state"] for row in table()] == ["complete"] * 3


def write_results(config: DictConfig, folder: Path) -> None:
    for name in ("metrics.csv", "layer.safetensors"):
        (folder / name).write_text(f"of scale {config.scale}")
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / "last.ckpt").touch()


def test_a_job_is_complete_only_with_its_results_as_it_left_them(capsys: pytest.CaptureFixture[str]) -> None:
    sweep("-m scale=2,3,4", write_results)
    (job_folder("scale=2") / "metrics.csv").write_text("of sca")
    (job_folder("scale=3") / "layer.safetensors").unlink()
    capsys.readouterr()
    resumed: list[str | None] = []

    def repair(config: DictConfig, folder: Path) -> None:
        resumed.append(config.resume)
        write_results(config, folder)

    assert sweep("-m scale=2,3,4", repair) == (["scale=2", "scale=3"], 0)
    said = capsys.readouterr().out
    assert "scale=2: metrics.csv is gone or not as the job left it" in said
    assert "scale=3: layer.safetensors is gone" in said
    assert "2 damaged, 1 complete" in said
    assert all(resumed)  # the training itself is not repeated
    assert sweep("-m scale=2,3,4")[0] == []


def test_a_checkpoint_whose_record_is_damaged_is_not_taken_up() -> None:
    sweep("-m scale=2,3", write_results)
    (job_folder("scale=3") / "job.json").write_text('{"key": ')
    resumed: list[str | None] = []
    ran, code = sweep("-m scale=2,3", lambda config, folder: resumed.append(config.resume))
    assert (ran, code, resumed) == (["scale=3"], 0, [None])
    assert len(list(Path("multirun/train").glob("*.superseded/scale=3-unknown/metrics.csv"))) == 1


def test_failed_jobs_start_afresh() -> None:
    def fail(config: DictConfig, folder: Path) -> None:
        (folder / "history.csv").write_text("of the first attempt")
        if config.scale == 2:
            raise DataError("no such picture")

    ran, code = sweep("-m scale=2,3", fail)
    assert (ran, code) == (["scale=2", "scale=3"], DataError.exit_code)
    assert [(row["state"], row["error"]) for row in table()] == [("failed", "no such picture"), ("complete", "")]
    assert sweep("-m scale=2,3") == (["scale=2"], 0)
    assert not (job_folder("scale=2") / "history.csv").exists()


@pytest.mark.slow
def test_a_training_that_ended_with_results_and_a_failure_is_kept_and_fails_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained: list[bool] = []

    def miss_epsilon(config: DictConfig, folder: Path) -> None:
        trained.append(config.resume is None)
        if config.resume is None:
            write_results(config, folder)
            (folder / "checkpoints" / "last.ckpt").write_text("an hour of training")
        raise CertificateError("S, im0: epsilon is not met")

    for _ in range(3):
        capsys.readouterr()
        assert sweep("-m scale=2,3", miss_epsilon) == (["scale=2", "scale=3"], CertificateError.exit_code)
        assert capsys.readouterr().err.count("epsilon is not met") >= 2
        assert {row["state"] for row in table()} == {"failed"}
        assert (job_folder("scale=2") / "checkpoints" / "last.ckpt").read_text() == "an hour of training"
        assert (job_folder("scale=2") / "metrics.csv").is_file()
    assert trained == [True, True, False, False, False, False]


@pytest.mark.slow
def test_what_was_moved_aside_is_never_replaced() -> None:
    for number in range(3):
        sweep("-m scale=2,3", write_results)
        (job_folder("scale=3") / "metrics.csv").write_text(f"attempt {number}")
        (job_folder("scale=3") / "job.json").write_text("{")
    sweep("-m scale=2,3")
    kept = Path("multirun/train").glob("*.superseded/scale=3-unknown*/metrics.csv")
    assert {path.read_text() for path in kept} == {"attempt 0", "attempt 1", "attempt 2"}


def test_other_code_makes_other_jobs_and_keeps_the_old_results(monkeypatch: pytest.MonkeyPatch) -> None:
    def write_scale(config: DictConfig, folder: Path) -> None:
        (folder / "metrics.csv").write_text("image\n")

    sweep("-m scale=2,3", write_scale)
    monkeypatch.setattr(content, "code_version", lambda: "other code")
    assert sweep("-m scale=2,3")[0] == ["scale=2", "scale=3"]
    assert len(list(Path("multirun/train").glob("*.superseded/scale=*/metrics.csv"))) == 2


def test_a_job_that_another_process_runs_is_left_alone() -> None:
    def stop(config: DictConfig, folder: Path) -> None:
        raise SystemExit(9)

    sweep("-m scale=2,3", stop)
    with job_lock(job_folder("scale=2")):
        assert sweep("-m scale=2,3")[0] == ["scale=3"]
        assert [row["state"] for row in table()] == ["running", "complete"]


def test_a_job_sees_the_command_line_of_its_own() -> None:
    seen = []
    sweep("-m scale=2,3 epsilon=0.1 seed=1", lambda config, folder: seen.append(sys.argv[1:]))
    assert seen[1] == ["scale=3", "epsilon=0.1", "seed=1", "hydra.mode=RUN"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("grid", "key", "count"),
    [("backbone_scale", "backbone", 9), ("epsilon", "epsilon", 6)],
)
def test_named_grids_need_no_flag_and_can_be_narrowed(
    grid: str, key: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcnet_lightning.cli.launch.check_arguments", check_arguments)  # takes up what backbones ask
    values = []

    def note(config: DictConfig, folder: Path) -> None:
        values.append((config.backbone.name, config.scale, config.epsilon, config.seed))

    sweep(f"sweep={grid} seed=3", note)
    assert len(set(values)) == len(values) == count
    assert {row["state"] for row in table()} == {"complete"}
    assert key in table()[0]


def test_unknown_grid_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert sweep("sweep=epsilom")[1] == 2
    assert "did you mean 'epsilon'" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["logger=csv", "trainer.enable_progress_bar=false", "checkpoint_steps=7"])
def test_what_no_result_depends_on_is_not_in_the_key(words: str) -> None:
    assert content.content_key(compose_config("train", [words])) == content.content_key(compose_config("train"))


def test_settings_pictures_and_weights_are_in_the_key(tmp_path: Path) -> None:
    weights = tmp_path / "layer.safetensors"
    keys = [content.content_key(compose_config("train", words)) for words in ([], ["scale=3"], ["data.test=[]"])]
    for held in (b"one", b"other"):
        weights.write_bytes(held)
        keys.append(content.content_key(compose_config("train", [f"layer.weights={weights}"])))
    assert len(set(keys)) == len(keys)
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(b"other")
    assert content.content_key(compose_config("train", [f"layer.weights={copy}"])) == keys[-1]


def test_a_mask_of_several_in_a_file_is_in_the_key_by_its_content_and_its_name(tmp_path: Path) -> None:
    keys = []
    for held in (0, 1):
        np.savez(tmp_path / "masks.npz", a=np.eye(4) if held else np.ones((4, 4)), b=np.eye(4))
        words = [["problem=mri", f"problem.mask={tmp_path}/masks.npz:{name}"] for name in ("a", "b")]
        keys += [content.content_key(compose_config("train", each)) for each in words]
    assert len(set(keys)) == 4


@pytest.mark.parametrize(
    "text",
    [
        '{"key": ',
        '{"key": 3, "state": "complete"}',
        '{"key": "x", "state": "?"}',
        '{"key": "k", "state": "running", "started": "x"}',
        "[" * 100000,
        "[]",
        "null",
    ],
    ids=["cut", "key", "state", "started", "deep", "list", "null"],
)
def test_a_damaged_record_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.json").write_text(text)
    assert read_record(tmp_path) is None


def test_a_search_that_has_lost_its_table_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "search_beta.csv").write_text("beta\n")
    record = JobRecord("k", "running")
    record.complete(tmp_path)
    assert record.damaged(tmp_path) is None
    (tmp_path / "search_beta.csv").unlink()
    assert record.damaged(tmp_path) == "search_beta.csv"


@pytest.mark.slow
def test_the_jobs_folders_can_be_named() -> None:
    words = "-m scale=2,3 hydra.sweep.dir=here 'hydra.sweep.subdir=x${scale}'"
    assert sweep(words) == (["x2", "x3"], 0)
    assert sweep(words) == ([], 0)
    assert {path.name for path in Path("here").iterdir() if path.is_dir()} == {"x2", "x3"}
    record = read_record(Path("here/x3"))
    assert record is not None
    assert record.key == content.content_key(compose_config("train", ["scale=3"]))  # as the experiments ask for it


def test_two_jobs_never_share_a_folder() -> None:
    assert sweep("-m scale=2,3 hydra.sweep.dir=here hydra.sweep.subdir=one") == ([], 2)
