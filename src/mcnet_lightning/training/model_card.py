"""What a weight file is, how it came to be, and how good it is: written beside it by the run that made it."""

import platform
from pathlib import Path

import torch
from omegaconf import DictConfig

from mcnet_lightning.config.running import running
from mcnet_lightning.data import MeasurementDataModule
from mcnet_lightning.data.scans import SCANS
from mcnet_lightning.files import write_file

UNMEASURED = "nothing was measured, since data.test names no image"
# where files lie on one machine says nothing about the weights
NOT_IN_CARD = ("data.root=", "hydra.", "hydra/", "logger")


def command_line() -> str:
    """The command of this run, with data.root as DIR."""
    root = any(word.startswith("data.root=") for word in running.get().words)
    return running.get().written(NOT_IN_CARD) + (" data.root=DIR" if root else "")


def write_model_card(
    folder: Path,
    title: str,
    config: DictConfig,
    data: MeasurementDataModule,
    start: str,
    steps: int,
    seconds: float,
    results: list[str],
) -> None:
    """MODEL_CARD.md: command, seed, data, length, machine, results (Markdown lines). `start`: weights begun with."""
    assert data.patches is not None, "setup() comes first"
    height, width = data.patches.observation.truth.shape[-2:]
    own_part = all(name in SCANS for name in config.data.train)
    lines = [
        f"# {title}",
        "",
        f"Trained with mcnet_lightning from {start}, "
        f"seed {config.seed}, on {', '.join(config.data.train)} "
        f"({'its own validation part' if own_part else 'every tenth image'} held out).",
        "",
        f"    {command_line()}",
        "",
        f"{steps} steps of {config.data.batch_size} {'patches' if data.problem.local else 'images'} of "
        f"{height} x {width}, {seconds / 60:.1f} minutes on {_machine(data)}. "
        "The training curve is in the .csv file beside this card.",
        "",
        *results,
        "",
    ]
    write_file(folder / "MODEL_CARD.md", "\n".join(lines))


def _machine(data: MeasurementDataModule) -> str:
    """What computed."""
    device = torch.device("cpu") if data.trainer is None else data.trainer.strategy.root_device
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{what} ({platform.machine()}, torch {torch.__version__.split('+')[0]})"
