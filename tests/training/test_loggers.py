"""Loggers by their settings, and a history that a resumed run continues."""

import csv
import errno
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from mcnet_lightning.config.training import Logger
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.evaluation.records import Record
from mcnet_lightning.evaluation.tables import with_means
from mcnet_lightning.training.loggers import HistoryLogger, build_loggers, earlier_id, forget_after
from mcnet_lightning.training.recording import record_picture, record_results, summary


def test_history_is_always_kept(tmp_path: Path) -> None:
    (logger,) = build_loggers(Logger(wandb=False), tmp_path, "run", {}, [])
    assert isinstance(logger, CSVLogger)


def test_other_loggers_by_name(tmp_path: Path) -> None:
    loggers = build_loggers(Logger(wandb=False, tensorboard=True), tmp_path, "run", {"scale": 2}, ["srcnn"])
    assert [type(logger) for logger in loggers] == [HistoryLogger, TensorBoardLogger]


def test_tensorboard_holds_settings_means_pictures_and_the_table(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    loggers = build_loggers(Logger(wandb=False, tensorboard=True), tmp_path, "run", {"scale": 2}, [])
    record_picture(loggers, "val/comparison", torch.rand(1, 8, 8), 3)
    record_results(loggers, with_means(two_methods()), {}, tmp_path, "run")
    events = accumulators.EventAccumulator(str(tmp_path / "tensorboard"))
    tags = events.Reload().Tags()
    assert tags["images"] == ["val/comparison"]
    assert {"test/psnr", "test/gain"} <= set(tags["scalars"])
    assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")
    (text,) = events.Tensors("test/images/text_summary")
    assert text.tensor_proto.string_val[0].decode().count("\n| ") >= len(two_methods())


def test_mlflow_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"mcnet-lightning\[mlflow\]"):
        build_loggers(Logger(wandb=False, mlflow=str(tmp_path / "mlruns")), tmp_path, "run", {}, [])


def test_mlflow_holds_settings_means_pictures_and_the_table(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is an extra: pip install 'mcnet-lightning[mlflow]'")
    settings = Logger(wandb=False, mlflow=str(tmp_path / "mlruns"))
    loggers = build_loggers(settings, tmp_path, "run", {"scale": 2, "resume": None}, ["srcnn"])
    again = build_loggers(settings, tmp_path, "run", {"scale": 2, "resume": "last.ckpt"}, ["srcnn"])
    assert again[1].version == loggers[1].version  # a run that goes on stays one run
    record_picture(loggers, "val/comparison", torch.rand(1, 8, 8), 3)
    record_results(loggers, with_means(two_methods()), {"layer_norm_bounds": [1.0]}, tmp_path, "run")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("mcnet_lightning").experiment_id])
    assert run.data.params["scale"] == "2"
    assert run.data.metrics["test/gain"] == 1.0
    assert run.data.tags["tags"] == "srcnn"
    assert run.info.artifact_uri.startswith((tmp_path / "mlruns").as_uri())
    assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {
        "images",
        "certificate.json",
        "test_images.json",
    }


def test_a_part_of_the_same_run_keeps_its_wandb_id(tmp_path: Path) -> None:
    assert earlier_id(tmp_path) is None
    (tmp_path / "wandb" / "offline-run-20260101_120000-abc123").mkdir(parents=True)
    assert earlier_id(tmp_path) == "abc123"


def test_history_is_cut_back_to_the_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = HistoryLogger(tmp_path)
    for step in range(6):
        logger.log_metrics({"train/loss": 1.0 / (step + 1)}, step)
    (tmp_path / "checkpoints").mkdir()
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    torch.save({"global_step": 4}, checkpoint)
    forget_after(checkpoint, tmp_path)
    assert "goes on from step 4" in capsys.readouterr().out
    HistoryLogger(tmp_path).log_metrics({"train/loss": 0.5}, 4)
    with (tmp_path / "history.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda text: text[:-9], ["0", "1"]),  # as a kill or a full disk leaves it
        (lambda text: text.replace(b"\n1,", b"\n\x001,"), ["0", "2"]),
        (lambda text: text.replace(b"0.5", b"0\xff5"), ["0", "2"]),
        (lambda text: text.replace(b"0.5", b'"0.5'), ["0", "2"]),
        (lambda text: text.replace(b"0.5", b"0.5,7"), ["0", "2"]),
        (lambda text: text.replace(b"step", b"st\xffp"), []),
        (lambda text: b"", []),
        (lambda text: bytes(range(256)), []),
    ],
    ids=["cut", "nul", "no text", "quote", "columns", "header", "empty", "binary"],
)
def test_lines_of_a_damaged_history_are_left_out_and_training_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes], left: list[str]
) -> None:
    logger = HistoryLogger(tmp_path)
    for step in range(3):
        logger.log_metrics({"train/loss": 1.0 / (step + 1)}, step)
    path = tmp_path / "history.csv"
    path.write_bytes(damage(path.read_bytes()))
    torch.save({"global_step": 3}, tmp_path / "last.ckpt")
    forget_after(tmp_path / "last.ckpt", tmp_path)
    assert "cannot be read and are left out" in capsys.readouterr().out
    HistoryLogger(tmp_path).log_metrics({"train/loss": 0.5}, 3)
    with path.open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == [*left, "3"]


def test_a_new_column_costs_no_line_where_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = HistoryLogger(tmp_path)
    logger.log_metrics({"train/loss": 1.0}, 0)
    before = (tmp_path / "history.csv").read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(csv.DictWriter, "writerows", full)
    with pytest.raises(DataError, match=r"history\.csv cannot be written"):
        logger.log_metrics({"val/psnr": 30.0}, 1)
    assert (tmp_path / "history.csv").read_bytes() == before


def test_history_of_another_run_is_left_alone(tmp_path: Path) -> None:
    HistoryLogger(tmp_path / "mine").log_metrics({"train/loss": 1.0}, 9)
    torch.save({"global_step": 4}, tmp_path / "theirs.ckpt")
    before = (tmp_path / "mine" / "history.csv").read_text()
    forget_after(tmp_path / "theirs.ckpt", tmp_path / "mine")
    assert (tmp_path / "mine" / "history.csv").read_text() == before


def two_methods() -> list[Record]:
    def record(method: str, image: str, psnr: float) -> Record:
        return Record("paper", "A", "Set", 2, "srcnn", method, image, {"psnr_y": psnr, "ssim_y": 0.9}, 1e-6, 100.0)

    return [record(method, image, psnr) for method, psnr in (("backbone", 30.0), ("mcnet", 31.0)) for image in "ab"]


def test_summary_holds_means_and_the_gain_of_the_layer() -> None:
    figures = summary(with_means(two_methods()))
    assert figures["test/gain"] == figures["test/Set/mcnet/gain"] == 1.0
    assert figures["test/psnr"] == 31.0
    assert "test/evaluations" not in figures
