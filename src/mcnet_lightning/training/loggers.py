"""Where training curves go: always history.csv, and Weights & Biases, TensorBoard or MLflow as the settings say."""

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from mcnet_lightning.config.training import Logger as LoggerConfig
from mcnet_lightning.files import staged, write_csv, write_file
from mcnet_lightning.files.extras import require
from mcnet_lightning.files.writer import is_first_process
from mcnet_lightning.training.leaving_out import leaving_out, lost_record, place_wandb, say_left_out

MLFLOW_RUN = "mlflow_run"
HISTORY = "history.csv"  # metrics.csv is the finished run's result, written once, by evaluation


class _HistoryWriter(ExperimentWriter):
    """Appends to the history of an earlier part of the same run instead of deleting it."""

    NAME_METRICS_FILE = HISTORY

    def _check_log_dir_exists(self) -> None:
        if os.path.isfile(self.metrics_file_path):
            with open(self.metrics_file_path, newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        """In one step: Lightning empties the file first, and a kill would leave it so."""
        with open(self.metrics_file_path, newline="") as file:
            rows = list(csv.DictReader(file))
        write_csv(self.metrics_file_path, fieldnames, rows)


class HistoryLogger(CSVLogger):
    """Lightning's CSV logger, writing RUN/history.csv line by line, so that a killed run has all but the last."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="", version="", flush_logs_every_n_steps=1)

    @property
    def log_dir(self) -> str:
        return self.root_dir

    @property
    def experiment(self) -> Any:
        if self._experiment is None:
            os.makedirs(self.root_dir, exist_ok=True)
            self._experiment = _HistoryWriter(log_dir=self.root_dir)
        return self._experiment


@rank_zero_only
def forget_after(checkpoint: Path | None, folder: Path) -> None:
    """Says where training goes on; cuts RUN/history.csv back to there if the checkpoint is the run's own.

    A training that starts has no history: what is there is of one that was killed before its first checkpoint. Lines
    that were cut or damaged are left out, which is said.
    """
    path = folder / HISTORY
    if checkpoint is None:
        path.unlink(missing_ok=True)
        return
    steps = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"]
    print(f"goes on from step {steps} of {checkpoint}", flush=True)
    if not path.is_file():
        return
    header, rows, damaged = _history(path)
    if damaged:
        print(f"{path}: {damaged} of its lines cannot be read and are left out", flush=True)
    own = folder.resolve() in checkpoint.resolve().parents
    if own or damaged:
        kept = [row for row in rows if not own or int(row[header.index("step")]) < steps]
        with staged(path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([header, *kept] if header else [])


def _history(path: Path) -> tuple[list[str], list[list[str]], int]:
    """Header and rows of a history as far as they are whole, and how many lines are not."""
    *lines, cut = path.read_bytes().decode(errors="replace").split("\n")
    header, *rows = [line.rstrip("\r").split(",") for line in lines] or [[""]]
    if "step" not in header or "\ufffd" in "".join(header):
        return [], [], len(rows) + 1
    whole = [row for row in rows if len(row) == len(header) and _is_whole(dict(zip(header, row, strict=True)))]
    return header, whole, len(rows) - len(whole) + bool(cut)


def _is_whole(row: dict[str, str]) -> bool:
    try:
        [float(cell) for cell in row.values() if cell]
    except ValueError:
        return False
    return row["step"].isdecimal()


def build_loggers(
    settings: LoggerConfig, folder: Path, name: str, config: dict[str, Any], tags: list[str]
) -> list[Logger]:
    """Loggers of one run. Offline W&B never asks for a login and never touches the network; if its folder cannot be
    written it is left out.
    """
    loggers: list[Logger] = [HistoryLogger(folder)]
    if settings.wandb and not settings.offline:
        loggers.append(_wandb(settings, folder, name, config, [*tags, *settings.tags]))
    elif settings.wandb:
        with leaving_out("the W&B record"):
            loggers.append(_wandb(settings, folder, name, config, [*tags, *settings.tags]))
    if settings.tensorboard:
        with leaving_out("the TensorBoard record"):
            loggers.append(_tensorboard(folder, config))
    if settings.mlflow is not None:
        loggers.append(_mlflow(settings, folder, name, config, [*tags, *settings.tags]))
    return loggers


@contextmanager
def one_wandb_run() -> Iterator[None]:
    """Closes the W&B run that was opened within it, so that the next job of a sweep gets one of its own."""
    try:
        yield
    except BaseException:
        _close_wandb(exit_code=1)
        raise
    _close_wandb(exit_code=0)


def _close_wandb(exit_code: int) -> None:
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        folder = Path(wandb.run.dir).parent
        with leaving_out("the end of the W&B record"):
            wandb.run.finish(exit_code=exit_code)
        if folder.is_dir() and (reason := lost_record(folder)) is not None:
            say_left_out("part of the W&B record", reason)


def sweep_group() -> str | None:
    """The name of the sweep that this run is a job of."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir).name


def _wandb(settings: LoggerConfig, folder: Path, name: str, config: dict[str, Any], tags: list[str]) -> WandbLogger:
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    if not os.environ.get("WANDB_MODE", "offline"):  # set to nothing, which W&B refuses
        del os.environ["WANDB_MODE"]
    place_wandb(folder)
    run = None
    if is_first_process():
        run = wandb.init(
            project=settings.project,
            entity=settings.entity,
            group=settings.group or sweep_group(),
            name=name,
            tags=tags,
            dir=folder,
            mode="offline" if settings.offline else "online",
            id=earlier_id(folder),
            resume="allow",
        )
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    logger = WandbLogger(project=settings.project, name=name, save_dir=folder, experiment=run)
    logger.log_hyperparams(config)
    return logger


def earlier_id(folder: Path) -> str | None:
    """The W&B run of an earlier part of this run: folders are named [offline-]run-TIME-ID."""
    runs = sorted((folder / "wandb").glob("*run-*-*"), key=lambda path: path.stat().st_mtime)
    return runs[-1].name.rsplit("-", 1)[-1] if runs else None


def _tensorboard(folder: Path, config: dict[str, Any]) -> TensorBoardLogger:
    logger = TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False)
    logger.log_hyperparams(config)
    return logger


def _mlflow(settings: LoggerConfig, folder: Path, name: str, config: dict[str, Any], tags: list[str]) -> MLFlowLogger:
    """An MLflow run; the earlier one if this run goes on. RUN/mlflow_run holds its id."""
    require("mlflow", "logger=mlflow")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    place, artifacts, store = str(settings.mlflow), None, folder
    if "://" not in place:
        store = Path(place).absolute()
        place, artifacts = f"sqlite:///{store}/mlflow.db", (store / "artifacts").as_uri()
    store.mkdir(parents=True, exist_ok=True)
    with FileLock(store / ".mlflow.lock"):  # jobs that begin together would make the database together
        earlier = _earlier_mlflow_run(folder, place)
        logger = MLFlowLogger(
            experiment_name=settings.project,
            run_name=name,
            tracking_uri=place,
            tags={"tags": ",".join(tags), "sweep": settings.group or sweep_group() or ""},
            artifact_location=artifacts,
            run_id=earlier,
        )
        run_id = logger.run_id  # None in all but the first process
    if run_id is not None and run_id != earlier:
        logger.log_hyperparams(config)
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / MLFLOW_RUN, run_id)
    return logger


def _earlier_mlflow_run(folder: Path, place: str) -> str | None:
    """The MLflow run of an earlier part of this run, if the database still knows it."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    marker = folder / MLFLOW_RUN
    if not marker.is_file():
        return None
    try:
        return str(MlflowClient(place).get_run(marker.read_text()).info.run_id)
    except MlflowException:
        return None
