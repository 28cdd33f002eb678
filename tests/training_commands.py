"""The three trainings in this process, with what they saw and what they kept at every step.

Composed once and started without Hydra, which takes longer than they do.
"""

import shutil
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from sweep_commands import SETTINGS

from mcnet_lightning import pretrain, train
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.data.patches import TrainingSet
from mcnet_lightning.training.checkpoints import StagedCheckpoints

PICTURES = [word for word in SETTINGS if word.startswith("data")]
EVERYWHERE = ["logger=csv", "trainer.accelerator=cpu", "trainer.log_every_n_steps=1", "checkpoint_steps=1"]
DENOISER = ["denoiser.weights=none", "denoiser.depth=2", "denoiser.channels=4"]
COMMANDS = {
    "train": ("train", train.run, SETTINGS),
    "denoiser": ("pretrain_denoiser", pretrain.run_denoiser, [*PICTURES, *DENOISER]),
    "backbone": ("pretrain_backbone", pretrain.run_backbone, PICTURES),
}


@dataclass
class Seen:
    """Patches by batch, in order, and the folders that a kill after each checkpoint would have left."""

    patches: list[list[int]] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)


@cache
def composed(name: str, *words: str) -> DictConfig:
    command, _, settings = COMMANDS[name]
    return compose_config(command, [*settings, *EVERYWHERE, *words])


def run(name: str, *words: str, folder: str, snapshots: str | None = None, groups: tuple[str, ...] = ()) -> Seen:
    """Runs the command in `folder`, with keys set by `words` and groups chosen by `groups`; copies the folder after
    every write of last.ckpt.
    """
    config = OmegaConf.merge(composed(name, *groups), OmegaConf.from_dotlist(list(words)))
    assert isinstance(config, DictConfig)
    seen = Seen()
    getitems, save = TrainingSet.__getitems__, StagedCheckpoints.save_checkpoint

    def note(patches: TrainingSet, indices: list[int]) -> dict[str, Any]:
        seen.patches.append(list(indices))
        return getitems(patches, indices)

    def save_and_copy(self: StagedCheckpoints, content: dict[str, Any], path: Any, storage_options: Any) -> None:
        save(self, content, path, storage_options)
        if snapshots is not None and Path(path).name == "last.ckpt":
            seen.left.append(Path(snapshots) / f"{len(seen.left):03}")
            shutil.copytree(folder, seen.left[-1])

    hydra = OmegaConf.create({"hydra": {"runtime": {"output_dir": folder}, "mode": "RUN"}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HydraConfig.instance(), "cfg", hydra)
        patch.setattr(TrainingSet, "__getitems__", note)
        patch.setattr(StagedCheckpoints, "save_checkpoint", save_and_copy)
        COMMANDS[name][1](config)
    return seen


def checkpoint(folder: Path | str, name: str = "last.ckpt") -> dict[str, Any]:
    return torch.load(Path(folder) / "checkpoints" / name, weights_only=True)


def differing(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two checkpoints differ in a tensor or a number."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [place]
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        return [found for key in one for found in differing(one[key], other[key], f"{place}/{key}")]
    if isinstance(one, list | tuple):
        assert len(one) == len(other), place
        pairs = enumerate(zip(one, other, strict=True))
        return [found for index, (a, b) in pairs for found in differing(a, b, f"{place}/{index}")]
    return [] if one == other or isinstance(one, str) else [place]
