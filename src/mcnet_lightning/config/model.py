"""The frozen backbone, and the layer with its denoiser."""

import re
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from mcnet_lightning.config.keys import key

_LAYERS = Path(__file__).parents[1] / "assets" / "layers"
BUNDLED_LAYERS = sorted({re.sub(r"_x[2-9]$", "", file.stem) for file in _LAYERS.glob("*.safetensors")})


@dataclass
class Network:
    """A frozen network with weights."""

    name: str = MISSING
    weights: str = key(
        "bundled",
        "bundled (ours, in the package), official (the authors', downloaded once) or the path of a weight file",
        path="file",
        words=("bundled", "official"),
    )
    precision: str = key(
        "float32",
        "of the backbone's convolutions; the layer stays in float32",
        choices=("float32", "bfloat16", "float16"),
    )


@dataclass
class SRCNNBackbone(Network):
    name: str = "srcnn"


@dataclass
class RCANBackbone(Network):
    name: str = "rcan"
    groups: int | None = key(None, "residual groups; null: as in the weight file, else 3 (published: 10)", minimum=1)
    blocks: int | None = key(None, "blocks per group; null: as in the weight file, else 4 (published: 20)", minimum=1)
    features: int | None = key(None, "channels; null: as in the weight file, else 64", minimum=3)
    reduction: int | None = key(None, "channels per squeezed one; null: as in the weight file, else 16", minimum=1)


@dataclass
class RDNBackbone(Network):
    name: str = "rdn"
    blocks: int | None = key(None, "D, dense blocks; null: as in the weight file, else 4 (published: 16)", minimum=1)
    layers: int | None = key(None, "C, layers per block; null: as in the weight file, else 4 (published: 8)", minimum=1)
    growth: int | None = key(None, "G, channels per layer; null: as in the weight file, else 32 (64)", minimum=1)
    features: int | None = key(None, "G0, channels; null: as in the weight file, else 64", minimum=3)


@dataclass
class SpandrelBackbone(Network):
    name: str = "spandrel"
    weights: str = key(MISSING, "a weight file of any network that spandrel detects", path="file")


@dataclass
class PrecomputedBackbone:
    name: str = "precomputed"
    root: str = key(MISSING, "folder of super-resolved pictures, matched by name to the test images", path="folder")


@dataclass
class BicubicBackbone:
    name: str = "bicubic"


@dataclass
class Layer:
    weights: str = key(
        "none",
        "bundled (the layer named like the backbone), bundled:NAME (in the package: "
        + ", ".join(BUNDLED_LAYERS)
        + "), a "
        "path (own checkpoint or published format), or none: train starts afresh, evaluate uses no layer",
        path="file",
        words=("bundled", "none"),
    )
    prior_weight: float | None = key(
        None,
        "start value of beta, the weight of ||x - w||^2; null: 0.05 on srcnn and bicubic, 0.3 on stronger backbones",
        minimum=0.0,
    )
    prior_weight_floor: float = key(0.015, "beta never falls below this: where the map contracts", minimum=0.0)


@dataclass
class Denoiser:
    depth: int = key(6, "number of convolutions", minimum=2)
    channels: int = key(64, "features of each hidden layer", minimum=1)
    parameterisation: str = key(
        "noise_residual",
        "R(v) = v - N(v), (1 - a) v + a N(v), or N(v)",
        choices=("noise_residual", "averaged", "direct"),
    )
    averaging: float = key(0.5, "a of `averaged`, in (0, 1/2]", minimum=0.0, maximum=0.5, exclusive_minimum=True)
    spectral_norm: bool = key(True, "keep every convolution 1-Lipschitz while training")
    weights: str = key(
        "bundled",
        "where a fresh layer starts: bundled (ours), none (random) or a path",
        path="file",
        words=("bundled", "none"),
    )
