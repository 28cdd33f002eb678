"""Backbone outputs on the training patches, computed once and kept on disk under a content key.

The backbone is frozen, so its outputs never change: a network of 15 million parameters then costs nothing per epoch.
"""

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mcnet_lightning.backbones.frozen import FrozenBackbone, input_of
from mcnet_lightning.data.patches import PatchSet


def cached_prior(backbone: FrozenBackbone, patches: PatchSet, folder: Path, batch_size: int = 64) -> Tensor:
    """w for every patch, (N, 1, P, P): read if this backbone has seen exactly these patches, else computed and kept.

    Raises WeightsError where the backbone's output is not finite; nothing is kept then.
    """
    key = hashlib.sha256(f"{backbone.spec.identity}/{patches.digest()}".encode()).hexdigest()[:32]
    path = folder / "prior_images" / f"{backbone.spec.name}-x{backbone.spec.scale}-{key}.safetensors"
    if path.is_file() and bool(torch.isfinite(kept := load_file(path)["prior_image"]).all()):
        return kept
    inputs = input_of(vars(patches), backbone.spec.input_kind)
    prior = torch.cat([backbone(chunk) for chunk in inputs.split(batch_size)])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.part")
    save_file({"prior_image": prior.contiguous()}, temporary)
    os.replace(temporary, path)  # complete or absent, whoever else computes it too
    return prior
