"""Backbone outputs on the training patches, computed once and kept on disk under a content key.

The backbone is frozen, so its outputs never change: a network of 15 million parameters then costs nothing per epoch.
An entry carries the digest of its numbers: what a disk has changed is computed again, and a cache that cannot be
written costs the next training time, and nothing else.
"""

import hashlib
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from mcnet_lightning.backbones.frozen import FrozenBackbone
from mcnet_lightning.data.patches import TrainingSet, without_margin
from mcnet_lightning.equilibrium.precision import full_precision
from mcnet_lightning.errors import DataError
from mcnet_lightning.files import make_folder, write_file

NAME, DIGEST = "prior_image", "sha256"
REMEDY = "free space, or set MCNET_CACHE to another folder"


def cached_prior(
    backbone: FrozenBackbone,
    patches: TrainingSet,
    folder: Path,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
) -> Tensor:
    """w for every patch, (N, C, P, P): read if this backbone has seen exactly these patches, else computed and kept.

    device: where it is computed, in float32 as such wherever that is; the numbers themselves stay on the CPU. The
    backbone is left there.

    Raises WeightsError where the backbone's output is not finite; nothing is kept then.
    """
    around = f"/margin {patches.margin}" if patches.margin else ""
    key = hashlib.sha256(f"{backbone.spec.identity}/{patches.digest()}{around}".encode()).hexdigest()[:32]
    path = folder / "prior_images" / f"{backbone.spec.name}-x{backbone.spec.scale}-{key}.safetensors"
    if (kept := _kept(path)) is not None:
        return kept
    device, parts = torch.device(device), torch.arange(len(patches)).split(batch_size)
    backbone.to(device)
    with full_precision(device):
        made = [backbone.of(patches.seen.select(index).to(device)).cpu() for index in parts]
    prior = without_margin(torch.cat(made), patches.margin).contiguous()
    try:
        make_folder(path.parent, REMEDY)
        write_file(path, save({NAME: prior}, {DIGEST: _digest(prior)}), REMEDY)
    except DataError as error:
        print(f"the backbone's outputs are not kept for the next training: {error}", file=sys.stderr)
    return prior


def _kept(path: Path) -> Tensor | None:
    """The numbers of an entry; None if there is none, or it is not as it was written."""
    try:
        if not path.is_file():
            return None
        with safe_open(path, framework="pt") as file:
            stated, prior = (file.metadata() or {}).get(DIGEST), file.get_tensor(NAME)
        if stated == _digest(prior):
            return prior if bool(torch.isfinite(prior).all()) else None
    except PermissionError:
        return None
    except Exception:  # a damaged file fails in every way there is
        stated = ""
    if stated is not None:  # else an earlier version wrote it
        print(f"{path} is damaged; the backbone's outputs are computed again", file=sys.stderr)
    return None


def _digest(prior: Tensor) -> str:
    digest = hashlib.sha256(f"{tuple(prior.shape)} {prior.dtype} ".encode())
    digest.update(prior.contiguous().numpy().data)
    return digest.hexdigest()
