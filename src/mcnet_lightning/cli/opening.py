"""The first line of a command: what it is about to do, said before PyTorch is loaded, which takes seconds."""

import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mcnet_lightning.config.problems import images_of
from mcnet_lightning.errors import printable
from mcnet_lightning.files.naming import folder_measurements
from mcnet_lightning.files.writer import is_first_process

DOING = {
    "train": "training a layer",
    "evaluate": "measuring",
    "search_beta": "searching beta",
    "pretrain_backbone": "training a backbone",
    "pretrain_denoiser": "training a denoiser",
    "certify": "certifying",
    "report": "writing a report",
    "demo": "starting the page",
}

FIRST = "SuperResolution"  # the problem that has a scale


def say_what_begins(config_name: str, config: DictConfig) -> None:
    """Prints the line on stderr, once in a process and in one process of a run alone."""
    if "torch" in sys.modules or not is_first_process():
        return
    if config_name == "restore":
        begins = _restoring(config)
    elif config_name in DOING:
        begins = DOING[config_name]
    else:
        return
    words = []
    if OmegaConf.select(config, "backbone.name"):
        words.append(f"backbone {config.backbone.name}")
    problem = str(OmegaConf.select(config, "problem._target_") or FIRST).rpartition(".")[2]
    if problem != FIRST:
        words.append(problem)
    elif OmegaConf.select(config, "scale"):
        words.append(f"x{config.scale}")
    print(printable(f"{', '.join([begins, *words])}; loading PyTorch"), file=sys.stderr, flush=True)


def _restoring(config: DictConfig) -> str:
    fixing = config.mode == "fix"
    path = Path(config.sr if fixing else config.input).expanduser()
    images = images_of(config)
    count = len(folder_measurements(path, images)) if path.is_dir() else 1
    what = "files of k-space" if images == "complex" else "pictures"
    pictures = f"{count} {what} of {path.name or path}" if path.is_dir() and count > 1 else path.name
    return f"{'projecting' if fixing else 'restoring'} {pictures} into {config.output}"
