"""Backbones by name: the network, the weight file that fits it, and one clear sentence if none does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mcnet_lightning.backbones.bicubic import BicubicIdentity
from mcnet_lightning.backbones.external import load_spandrel
from mcnet_lightning.backbones.frozen import BackboneSpec, FrozenBackbone, InputKind
from mcnet_lightning.backbones.official import official_weights
from mcnet_lightning.backbones.precomputed import PrecomputedBackbone
from mcnet_lightning.backbones.rcan import RCAN
from mcnet_lightning.backbones.rdn import RDN
from mcnet_lightning.backbones.srcnn import SRCNN
from mcnet_lightning.errors import ConfigError, WeightsError
from mcnet_lightning.files.weights import BUNDLED, OFFICIAL, WeightFile, bundled_path, read_weights


@dataclass(frozen=True)
class Architecture:
    """A network this package builds itself."""

    build: Callable[..., nn.Module]  # (scale, **hyperparameters), by default the published ones
    input_kind: InputKind
    citation: str
    anchor: str = ""  # the tensor by which a file's names are recognised
    levels: str = "0..1"  # the range that the network itself computes on
    compact: Mapping[str, int] = field(default_factory=dict)  # hyper-parameters of the bundled, smaller variant
    read: Callable[[Mapping[str, Tensor]], dict[str, Any]] = lambda tensors: {}  # hyper-parameters and scale of a file


NETWORKS = {
    "srcnn": Architecture(lambda scale: SRCNN(), "upsampled", "Dong et al., TPAMI 2016", "conv1.weight"),
    "rdn": Architecture(
        RDN,
        "lr_rgb",
        "Zhang et al., CVPR 2018",
        "sfe1.weight",
        compact={"blocks": 4, "layers": 4, "growth": 32, "features": 64},
        read=RDN.hyperparameters,
    ),
    "rcan": Architecture(
        RCAN,
        "lr_rgb",
        "Zhang et al., ECCV 2018",
        "head.0.weight",
        levels="0..255",
        compact={"groups": 3, "blocks": 4, "features": 64, "reduction": 16},
        read=RCAN.hyperparameters,
    ),
    "bicubic": Architecture(lambda scale: BicubicIdentity(), "upsampled", "interpolation, no network"),
}
EXTERNAL = ("spandrel", "precomputed")


def load_backbone(
    name: str,
    scale: int,
    weights: str = BUNDLED,
    hyperparameters: Mapping[str, int] | None = None,
    precision: str = "float32",
) -> FrozenBackbone:
    """A frozen backbone by name; `weights` is "bundled" (ours), "official" (the authors', downloaded once) or the path
    of a file for exactly this scale. `spandrel` takes a path, `precomputed` its folder.

    The file tells the network's hyper-parameters; any that are given must agree with it. Raises ConfigError for an
    unknown name and WeightsError for a file that is missing, damaged, or made for another network or scale.
    """
    if name == "precomputed":
        return PrecomputedBackbone(weights, scale)
    if name == "spandrel":
        return load_spandrel(scale, weights, precision)
    architecture = _architecture(name)
    if name == "bicubic":
        return FrozenBackbone(architecture.build(scale), BackboneSpec(name, scale, architecture.input_kind))
    file = read_weights(_weight_path(name, scale, weights)).below(architecture.anchor)
    file.require_kind("backbone")
    found = _hyperparameters(architecture, file, name, scale)
    for key, value in (hyperparameters or {}).items():
        if value != found[key]:
            raise WeightsError(
                f"{file.path} has {key}={found[key]}, not backbone.{key}={value}; leave backbone.{key} out"
            )
    with torch.device("meta"):  # nothing is allocated for a file that does not fit
        file.require_fit(architecture.build(scale, **found))
    network = architecture.build(scale, **found)
    file.load_into(network)
    spec = BackboneSpec(name, scale, architecture.input_kind, weights, file.sha256, found, precision=precision)
    return FrozenBackbone(network, spec)


def untrained_backbone(
    name: str, scale: int, hyperparameters: Mapping[str, int] | None = None
) -> tuple[nn.Module, InputKind]:
    """The bare network (compact unless told otherwise) and what it eats, for pretraining."""
    architecture = _architecture(name)
    return architecture.build(scale, **{**architecture.compact, **(hyperparameters or {})}), architecture.input_kind


def load_trunk(network: nn.Module, file: WeightFile) -> None:
    """Starts `network` from a file of any scale: all tensors must fit, but of the upsampler any that do."""
    wanted = network.state_dict()
    file = file.below(next(iter(wanted)))
    upsampler: str | None = getattr(network, "upsampler", None)  # SRCNN has none and fits as a whole
    tensors = dict(file.tensors)
    if upsampler is not None:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(upsampler)}
        for name in filter(lambda name: name.startswith(upsampler), wanted):
            given = file.tensors.get(name, wanted[name])
            tensors[name] = given if given.shape == wanted[name].shape else wanted[name]
    file.load_into(network, tensors)


def _weight_path(name: str, scale: int, weights: str) -> Path:
    if weights == BUNDLED:
        return bundled_path("backbone", f"{name}_x{scale}")
    return official_weights(name, scale) if weights == OFFICIAL else Path(weights)


def _architecture(name: str) -> Architecture:
    if name not in NETWORKS:
        raise ConfigError(f"backbone {name!r} is unknown; use one of {', '.join([*NETWORKS, *EXTERNAL])}")
    return NETWORKS[name]


def _hyperparameters(architecture: Architecture, file: WeightFile, name: str, scale: int) -> dict[str, Any]:
    """What the file's tensors say of the network, checked against the scale."""
    try:
        found = architecture.read(file.tensors)
    except (WeightsError, IndexError, ValueError, ZeroDivisionError) as error:  # of tensors of strange shapes
        raise WeightsError(f"{file.path} does not fit {name}: {error}") from None
    file.require_scale(scale, found.pop("scale", None))
    return found
