"""What a configuration leaves to the run: backbone.shares=auto, beta=auto. Found on held-out training images."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from mcnet_lightning.backbones import FrozenBackbone
from mcnet_lightning.backbones.several import SeveralBackbones, best_shares
from mcnet_lightning.config.commands import AUTO
from mcnet_lightning.data import MeasurementDataModule
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.evaluation.auto_beta import settle_beta
from mcnet_lightning.evaluation.records import SETTLED
from mcnet_lightning.files import write_file
from mcnet_lightning.files.writer import is_first_process
from mcnet_lightning.problems import Problem


def settle(
    config: DictConfig,
    problem: Problem,
    backbone: FrozenBackbone,
    layer: EquilibriumLayer | None,
    data: MeasurementDataModule,
    folder: Path,
) -> None:
    """Puts what was found in its place, and tells the run's `folder`.

    Raises ConfigError without training images, ConvergenceError where no beta converges on all of them.
    """
    found: dict[str, Any] = {}
    if isinstance(backbone, SeveralBackbones) and backbone.automatic:
        found["backbone.shares"] = settle_shares(backbone, data)
    if layer is not None and config.beta == AUTO:
        found["beta"] = settle_beta(config, problem, backbone, layer, data)
    if found and is_first_process():
        write_file(folder / SETTLED, "".join(f"{key}: {value!r}\n" for key, value in found.items()))


def settle_shares(backbone: SeveralBackbones, data: MeasurementDataModule) -> list[float]:
    """Takes the shares of the mean with the least squared error."""
    images = data.held_out_images()
    errors: list[list[torch.Tensor]] = [[] for _ in backbone.members]
    for index in range(len(images)):
        image = images[index]
        for found, member in zip(errors, backbone.members, strict=True):
            found.append((member.prior_image(image).cpu() - image["observation"].truth).flatten())
    shares = [round(share, 3) for share in best_shares([torch.cat(each) for each in errors])]
    backbone.settle(shares)
    print(f"backbone.shares=auto: {shares}, the best on {len(images)} held-out training images")
    return shares
