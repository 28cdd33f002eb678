"""The W&B workspace in which runs are compared, as code."""

import json
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files import write_file
from mcnet_lightning.files.private_apis import workspace_specification

FILE = "workspace.json"


def lay_out(config: DictConfig) -> None:
    """Writes workspace.json into the run's folder; with online=true also creates the workspace at W&B."""
    board = workspace(config.entity or "ENTITY", config.project, config.name)
    path = Path(HydraConfig.get().runtime.output_dir) / FILE
    write_file(path, json.dumps(workspace_specification(board), indent=1))
    print(f"wrote {path}")
    if config.online:
        print(f"created {_create(board, config.entity)}")


def workspace(entity: str, project: str, name: str) -> Any:
    """The workspace as an object of wandb-workspaces. Its metrics are those that `train` logs."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    gain, quality = wr.SummaryMetric("test/gain"), wr.SummaryMetric("test/psnr")
    consistency, epsilon = wr.SummaryMetric("test/consistency"), wr.Config("epsilon")
    results = [
        wr.BarPlot(title="PSNR gain by backbone", metrics=[gain], groupby=wr.Config("backbone.name"), orientation="v"),
        wr.BarPlot(title="PSNR gain by scale", metrics=[gain], groupby=wr.Config("scale"), orientation="v"),
        wr.ScatterPlot(title="Consistency against epsilon", x=epsilon, y=consistency),
        wr.ScatterPlot(title="PSNR against epsilon", x=epsilon, y=quality),
        wr.ScatterPlot(title="Tolerance curve", x=wr.Config("solver.tolerance"), y=quality, log_x=True),
        wr.ParallelCoordinatesPlot(
            title="Settings to PSNR",
            columns=[
                wr.ParallelCoordinatesPlotColumn(metric=metric, display_name=title)
                for metric, title in (
                    (wr.Config("backbone.name"), "backbone"),
                    (wr.Config("scale"), "scale"),
                    (epsilon, "epsilon"),
                    (wr.SummaryMetric("train/beta"), "beta"),
                    (wr.SummaryMetric("test/evaluations"), "evaluations"),
                    (quality, "PSNR"),
                )
            ],
        ),
    ]
    solver = [
        _curves("Evaluations", "train/forward_evaluations", "train/backward_evaluations", "val/evaluations"),
        _curves("Residuals", "train/forward_residual", "train/backward_residual", "val/residual", log_y=True),
        _curves("Not converged", "train/forward_not_converged", "val/not_converged"),
        _curves("Local Jacobian", "val/jacobian_norm", "val/spectral_radius"),
    ]
    training = [
        _curves("Loss", "train/loss", log_y=True),
        _curves("PSNR in training", "train/psnr", "val/psnr"),
        _curves("Gain in training", "val/gain", "val/gain_over_projection", "val/headroom"),
        _curves("Beta", "train/beta"),
    ]
    pictures = [wr.MediaBrowser(title="Picture grid", media_keys=["val/comparison"], num_columns=2)]
    tables = [wr.RunComparer(), wr.WeavePanelSummaryTable(table_name="test/images")]
    sections = {
        "Results": results,
        "Solver": solver,
        "Training": training,
        "Pictures": pictures,
        "Run table": tables,
    }
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[ws.Section(name=title, panels=panels, is_open=True) for title, panels in sections.items()],
    )


def _curves(title: str, *metrics: str, log_y: bool = False) -> Any:
    import wandb_workspaces.reports.v2 as wr

    return wr.LinePlot(title=title, x="trainer/global_step", y=list(metrics), log_y=log_y or None)


def _create(board: Any, entity: str | None) -> str:
    """Saves the workspace at W&B and returns its address."""
    import wandb

    if entity is None:
        raise ConfigError("online=true needs entity=..., your W&B user or team")
    if not wandb.api.api_key:
        raise ConfigError("online=true needs a login: run `wandb login` first; online=false writes the file alone")
    try:
        return str(board.save().url)
    except Exception as error:  # whatever the service answers
        raise ConfigError(f"W&B did not create the workspace ({' '.join(str(error).split())[:200]})") from error
