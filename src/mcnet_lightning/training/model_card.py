"""What a weight file is, how it came to be, and how good it is: written beside it by the run that made it."""

import platform
import shlex
import sys
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

NOT_IN_CARD = ("data.root=", "hydra.", "logger")  # where files lie on one machine says nothing about the weights


def command_line() -> str:
    """The command of this run, with data.root as DIR."""
    words = [word for word in sys.argv[1:] if not word.startswith(NOT_IN_CARD)]
    root = [word for word in sys.argv[1:] if word.startswith("data.root=")][:1]
    module = Path(sys.argv[0]).stem.removeprefix("mcnet-")
    return shlex.join(["python", "-m", f"mcnet_lightning.{module}", *words]) + (" data.root=DIR" if root else "")


def write_model_card(
    folder: Path, title: str, config: DictConfig, start: str, seconds: float, trainer: pl.Trainer, results: list[str]
) -> None:
    """MODEL_CARD.md: command, seed, data, length, machine, results (Markdown lines). `start`: weights begun with."""
    lines = [
        f"# {title}",
        "",
        f"Trained with mcnet_lightning from {start}, "
        f"seed {config.seed}, on {', '.join(config.data.train)} (every tenth image held out).",
        "",
        f"    {command_line()}",
        "",
        f"{trainer.global_step} steps of {config.data.batch_size} patches of {config.data.patch_size} x "
        f"{config.data.patch_size}, {seconds / 60:.1f} minutes on {torch.get_num_threads()} threads "
        f"({platform.machine()}, torch {torch.__version__.split('+')[0]}). "
        "The training curve is in the .csv file beside this card.",
        "",
        *results,
        "",
    ]
    (folder / "MODEL_CARD.md").write_text("\n".join(lines))
