"""Equilibrium layers from files and to files: bundled ones, own checkpoints, and the published MCNet format."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.denoisers.ffdnet import read_published
from mcnet_lightning.equilibrium import Denoiser, EquilibriumLayer
from mcnet_lightning.equilibrium.denoiser import PlainDenoiser, copied
from mcnet_lightning.errors import ConfigError, WeightsError
from mcnet_lightning.files.weights import (
    BUNDLED,
    WeightFile,
    bundled_name,
    bundled_path,
    is_bundled,
    read_weights,
    write_weights,
)
from mcnet_lightning.model.layer_paths import layer_path

OWN_DENOISERS = (DnCNN,)  # what a file may name
FORMAT = 2  # the newest that is read, of relaxed layers; files without a number, from before, are read too
PLAIN = 1  # of all other files, so that those who read no more can read them
ON_BUNDLED = "bundled_denoiser"  # of a layer's file without a denoiser of its own: which one of the package's it has
PUBLISHED_PREFIXES = ("f.dncnn.dncnn.", "dncnn.")
PUBLISHED_BETA = "f.alpha"
CHECKPOINT_PREFIX = "model.layer."  # the LightningModule's name of the layer; its frozen backbone is in no checkpoint


def load_layer(
    weights: str | Path = BUNDLED,
    backbone: str = "srcnn",
    scale: int | str = 2,
    denoiser: nn.Module | type[nn.Module] | None = None,
    classes: Sequence[type[nn.Module]] = (),
    noise_level: float = 0.06,
) -> EquilibriumLayer:
    """A trained layer, ready to run.

    scale: or the name of a problem that has none, such as "mri", where layers for other problems may be tried, too.
    weights: "bundled" (for `backbone` and `scale`), "bundled:NAME" (assets/layers/NAME_xSCALE), or a path to our
    safetensors, a training checkpoint or the published format. Also a denoiser, ours (a path, "bundled:dncnn17") or
    published by others (a DnCNN with biases, an FFDNet), which becomes R as it is, untrained, at beta = 0.05. Solver
    settings are those of the library; `layer.solver.tolerance` is writable.
    denoiser: where the layer was trained on a network that is not of this package, its class, or an instance of the
    same shape (which is copied). No class is imported because a file says so.
    classes: others that the file may name.
    noise_level: of the noise that an FFDNet is to take away, in units of 1.

    Raises WeightsError if there is none, or if it was made for another scale or on another denoiser.
    """
    file = _whole(read_weights(layer_path(str(weights), backbone, scale)))
    plain = _plain_denoiser(file, noise_level)
    if plain is not None:
        return EquilibriumLayer(plain)
    file.require_kind("layer")
    file.require_scale(scale)
    return _layer_of(file, denoiser, classes)


def holds_denoiser(weights: str | Path, backbone: str, scale: int | str) -> bool:
    """Whether `load_layer` finds a denoiser alone, to be R as it is."""
    return _plain_denoiser(read_weights(layer_path(str(weights), backbone, scale))) is not None


def _plain_denoiser(file: WeightFile, noise_level: float = 0.06) -> Denoiser | None:
    """The denoiser of a file that holds nothing else, and no layer: ours, or in the format of others."""
    if PUBLISHED_BETA in file.tensors:
        return None
    if file.metadata.get("kind") == "denoiser":
        return load_denoiser(file.path)
    return read_published(file, noise_level)


def _whole(file: WeightFile) -> WeightFile:
    """The file with its denoiser in it, which one on a bundled denoiser only names, by SHA-256."""
    name = file.metadata.get(ON_BUNDLED)
    if name is None:
        return file
    other = read_weights(bundled_path("denoiser", str(name)))
    if other.sha256 != file.metadata.get(f"{ON_BUNDLED}_sha256"):
        raise WeightsError(
            f"{file.path} is of a layer on another version of the bundled denoiser {name}; use the mcnet_lightning "
            "that it came with"
        )
    return replace(file, tensors={**{f"denoiser.{key}": value for key, value in other.tensors.items()}, **file.tensors})


def save_layer(path: str | Path, layer: EquilibriumLayer, metadata: dict[str, Any]) -> None:
    """Writes safetensors that `load_layer` reads: the convolutions as they act, spectral normalisation folded into
    them. `metadata` (backbone, scale, ...) travels in the header.
    """
    folded = copied(layer).eval().fold()
    header = {"kind": "layer", "format": PLAIN, "layer": json.dumps(describe_layer(folded)), **metadata}
    write_weights(path, _on_their_own(folded), header)


def describe_layer(layer: EquilibriumLayer) -> dict[str, Any]:
    """What is needed, beside the tensors, to build the layer again: the denoiser's class and the arguments of its
    constructor, of foreign networks those that its attribute `hyperparameters` holds, if there is one.
    """
    network = layer.denoiser.network if isinstance(layer.denoiser, PlainDenoiser) else layer.denoiser
    arguments = getattr(network, "hyperparameters", {})
    try:
        arguments = json.loads(json.dumps(dict(arguments)))
    except (TypeError, ValueError):
        raise WeightsError(
            f"{_class_path(network)}.hyperparameters holds more than names with numbers, words and lists of them, and "
            "cannot be stored; leave the rest out"
        ) from None
    plain = {"format": PLAIN, "class": _class_path(network), "denoiser": arguments}
    return plain if layer.relaxation == 1 else {**plain, "format": FORMAT, "relaxation": layer.relaxation}


def load_denoiser(weights: str | Path, bundled: str = "dncnn6") -> DnCNN:
    """A trained denoiser: "bundled" (the one named `bundled`), "bundled:NAME", or a path: ours, the published format,
    or any layer's file.
    """
    path = bundled_path("denoiser", bundled_name(weights, bundled)) if is_bundled(weights) else weights
    file = _whole(read_weights(path))
    if file.metadata.get("kind") == "layer" or PUBLISHED_BETA in file.tensors:
        denoiser = _layer_of(file).denoiser
        if not isinstance(denoiser, DnCNN):
            raise WeightsError(f"{file.path} is of a layer on {denoiser.label}, and a DnCNN is needed here")
        return denoiser
    file.require_kind("denoiser")
    if "denoiser" not in file.metadata:
        return _published_denoiser(file)
    denoiser = _network(file, file.described("denoiser"))
    file.load_into(denoiser)
    return denoiser


def save_denoiser(path: str | Path, denoiser: DnCNN, metadata: dict[str, Any]) -> None:
    """Writes safetensors that `load_denoiser` reads, spectral normalisation folded in."""
    folded = copied(denoiser).eval()
    folded.fold()
    header = {"kind": "denoiser", "format": PLAIN, "denoiser": json.dumps(folded.hyperparameters), **metadata}
    write_weights(path, folded.state_dict(), header)


def _layer_of(
    file: WeightFile, denoiser: nn.Module | type[nn.Module] | None = None, classes: Sequence[type[nn.Module]] = ()
) -> EquilibriumLayer:
    if PUBLISHED_BETA in file.tensors:
        return EquilibriumLayer(_published_denoiser(file), prior_weight=float(file.tensors[PUBLISHED_BETA]))
    if "layer" not in file.metadata:
        raise WeightsError(f"{file.path} holds no equilibrium layer; train one with python -m mcnet_lightning.train")
    stored = file.described("layer")
    of_checkpoint = {
        k.removeprefix(CHECKPOINT_PREFIX): v for k, v in file.tensors.items() if k.startswith(CHECKPOINT_PREFIX)
    }
    try:
        network, relaxation = _denoiser_of(file, stored, denoiser, classes), float(stored.get("relaxation", 1.0))
        layer = EquilibriumLayer(network, relaxation=relaxation)
        penalty = float(stored.get("penalty", 1.0))  # of files from before: rho, in whose units beta is now
        if not 0 < penalty < float("inf"):
            raise ValueError(f"penalty {penalty}")
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise WeightsError(f"{file.path}: what it says of its layer cannot be right ({error}); train anew") from None
    file.load_into(layer, of_checkpoint or file.tensors)
    if penalty != 1:
        layer.set_prior_weight(layer.prior_weight.item() / penalty, layer.prior_weight_floor.item() / penalty)
    return layer


def _denoiser_of(
    file: WeightFile,
    stored: dict[str, Any],
    given: nn.Module | type[nn.Module] | None = None,
    classes: Sequence[type[nn.Module]] = (),
) -> nn.Module:
    """The denoiser that a file describes, with tensors still to be loaded: of this package, or `given`."""
    if int(stored.get("format", PLAIN)) > FORMAT:
        raise WeightsError(
            f"{file.path} is of format {stored['format']}, and this mcnet_lightning reads up to {FORMAT}; update it"
        )
    if isinstance(given, nn.Module):
        network = copied(given)
        return network.network if isinstance(network, PlainDenoiser) else network
    path, arguments = stored.get("class", _class_path(DnCNN)), stored["denoiser"]
    known: tuple[type[nn.Module], ...] = (*OWN_DENOISERS, *classes)
    kind = given or next((each for each in known if _class_path(each) == path), None)
    if kind is None:
        raise WeightsError(
            f"{file.path} is of a layer on {path}, which is not of this package; allow it by layer.classes=[{path}], "
            f"or give load_layer that class, as in load_layer(PATH, denoiser={path.rpartition('.')[2]})"
        )
    if kind is DnCNN and given is None:
        return _network(file, arguments)
    try:
        return kind(**arguments)
    except TypeError as error:
        raise WeightsError(
            f"{file.path}: {kind.__name__} cannot be built from {arguments} ({error}); give load_layer an instance of "
            "it, or the class an attribute hyperparameters with what its constructor needs"
        ) from None


def _class_path(network: nn.Module | type[nn.Module]) -> str:
    kind = network if isinstance(network, type) else type(network)
    return f"{kind.__module__}.{kind.__qualname__}"


def _on_their_own(module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a module, each with memory of its own: safetensors knows no tied weights."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def _network(file: WeightFile, settings: dict[str, Any]) -> DnCNN:
    """The denoiser that a file describes. Raises WeightsError if it cannot be, before anything is allocated for it."""
    try:
        with torch.device("meta"):
            numbers = sum(weight.numel() for weight in DnCNN(**{**settings, "spectral_norm": False}).parameters())
        if numbers > sum(tensor.numel() for tensor in file.tensors.values()):
            raise ValueError(f"it would have {numbers} numbers")
        return DnCNN(**settings)
    except (TypeError, ValueError, RuntimeError, ConfigError) as error:
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(f"{file.path}: what it says of its network cannot be right ({reason}); train anew") from None


def _published_denoiser(file: WeightFile) -> DnCNN:
    """The published residual DnCNN: already normalised weights and rescaling of the input by its extremes."""
    prefix = next((p for p in PUBLISHED_PREFIXES if f"{p}0.weight" in file.tensors), None)
    if prefix is None:
        raise WeightsError(f"{file.path} is neither ours nor the published format (no dncnn.0.weight in it)")
    names = [name for name in file.tensors if name.startswith(prefix) and name.endswith(".weight")]
    names.sort(key=lambda name: int(name.removeprefix(prefix).split(".")[0]))
    weights = {f"weights.{index}": file.tensors[name] for index, name in enumerate(names)}
    denoiser = DnCNN(len(names), len(weights["weights.0"]), spectral_norm=False, rescale="per_sample")
    file.load_into(denoiser, {**weights, "offset": torch.zeros(())})
    return denoiser
