"""The layer."""

import re
from dataclasses import dataclass
from pathlib import Path

from mcnet_lightning.config.keys import key

_LAYERS = Path(__file__).parents[1] / "assets" / "layers"
BUNDLED_LAYERS = sorted({re.sub(r"_x[2-9]$", "", file.stem) for file in _LAYERS.glob("*.safetensors")})

CLASSES = (
    "denoisers from outside the package that the file of layer.weights may name, by dotted path as in [toys.Toy]; the "
    "one of denoiser=... may be named in any case"
)


@dataclass
class Layer:
    weights: str = key(
        "none",
        "bundled (the layer named like the backbone), bundled:NAME (in the package: "
        + ", ".join(BUNDLED_LAYERS)
        + "), a path (own checkpoint, published format), a denoiser as R (bundled:dncnn17, or a path: ours, "
        "published DnCNN or FFDNet), or none: train starts afresh, evaluate uses no layer",
        path="file",
        words=("bundled", "none"),
    )
    prior_weight: float | None = key(
        None,
        "start value of beta, the weight of ||x - w||^2; null: as this backbone says, 0.05 on srcnn and bicubic, 0.3 "
        "on stronger ones",
        minimum=0.0,
    )
    prior_weight_floor: float = key(0.015, "beta never falls below this: where the map contracts", minimum=0.0)
    relaxation: float | None = key(
        None,
        "g of (1 - g) v + g R(v), which takes the place of R(v); below 1 it makes the iteration of an R with no bound "
        "converge; null: as the layer's file says, 1 elsewhere",
        minimum=0.0,
        maximum=1.0,
        exclusive_minimum=True,
    )
    noise_level: float = key(
        0.06, "of the noise that an FFDNet of weights takes away, in units of 1", minimum=0.0, maximum=1.0
    )
    classes: list[str] = key([], CLASSES)
