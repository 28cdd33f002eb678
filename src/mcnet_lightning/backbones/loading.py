"""Backbones by name or class: the network, the weight file that fits it, and one clear sentence if none does."""

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mcnet_lightning.backbones.facts import Facts, Kind, facts_of, network_named
from mcnet_lightning.backbones.frozen import BackboneSpec, FrozenBackbone
from mcnet_lightning.backbones.official import official_weights
from mcnet_lightning.errors import ConfigError, WeightsError
from mcnet_lightning.files.sources import source_digest
from mcnet_lightning.files.weights import (
    BUNDLED,
    OFFICIAL,
    WeightFile,
    bundled_name,
    bundled_path,
    is_bundled,
    is_bundled_file,
    read_weights,
    variant,
)

NONE, USUAL = "none", "usual"
DAMAGE = "damage"  # what files of networks that were trained on noisy and compressed LR say of it


def load_backbone(
    name: str | Kind,
    scale: int | str,
    weights: str | Path | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    precision: str = "float32",
    said: Mapping[str, Any] | None = None,
) -> FrozenBackbone:
    """A frozen backbone by name, or of a class of your own, or of what a function makes.

    scale: or the name of a problem that has none, such as "mri".
    weights: "bundled" (ours), "bundled:robust" (ours for noisy and compressed LR), "official" (the authors', downloaded
    once), the path of a file for exactly this scale, "none": as it is built, or "usual": ours where there are some that
    fit, else none; by default what the class says.
    `spandrel` takes a path, `precomputed` its folder.
    hyperparameters: arguments of its constructor. Where the file tells them they must agree with it.
    said: facts that the class does not state, such as {"input_kind": "lr_rgb"}.

    Raises ConfigError for an unknown name and WeightsError for a file that is missing, damaged, or made for another
    network or scale.
    """
    kind, arguments = network_named(name), dict(hyperparameters or {})
    weights = None if weights is None else str(weights)
    facts = facts_of(kind, **(said or {}))
    if isinstance(kind, type) and issubclass(kind, FrozenBackbone):  # that reads files in its own way
        taken = [each for each in inspect.signature(kind).parameters if each != "scale"]
        given: dict[str, Any] = {} if weights is None else {taken[0]: weights}
        given |= {"precision": precision} if "precision" in taken else {}
        made: FrozenBackbone = kind(**{"scale": scale, **given, **arguments})
        return made
    weights = facts.default_weights if weights is None or facts.default_weights is None else weights
    ours = _bundled(kind, facts, scale, arguments) if weights == USUAL else None
    if weights == USUAL:
        weights = NONE if ours is None else BUNDLED
    if weights is None or weights == NONE:
        network = build_network(kind, scale, arguments)
        source = "" if weights is None else _digest(kind, arguments, network)
        return FrozenBackbone(network, _spec(facts, scale, NONE, "", arguments, precision, source))
    file = ours or read_weights(_weight_path(facts, scale, weights))
    file.require_kind("backbone")
    found = dict(arguments)
    if hasattr(kind, "hyperparameters"):  # the file tells them
        file = file.below(facts.anchor) if facts.anchor else file
        found = _hyperparameters(kind, file, facts.name, scale)
        for key, value in arguments.items():
            if value != found[key]:
                raise WeightsError(
                    f"{file.path} has {key}={found[key]}, not backbone.{key}={value}; leave backbone.{key} out"
                )
    else:
        file.require_scale(scale)
    with torch.device("meta"):  # nothing is allocated for a file that does not fit
        draft = build_network(kind, scale, found)
    file = file.below(facts.anchor or next(iter(draft.state_dict()), ""))
    file.require_fit(draft)
    network = build_network(kind, scale, found)
    file.load_into(network)
    source = _digest(kind, arguments) if source_of(kind) else ""
    spec = _spec(facts, scale, weights, file.sha256, found, precision, source)
    return FrozenBackbone(network, replace(spec, robust=DAMAGE in file.metadata))


def build_network(kind: Kind, scale: int | str, arguments: Mapping[str, Any]) -> nn.Module:
    """The bare network. Raises ConfigError if it is none."""
    given = {"scale": scale} if "scale" in inspect.signature(kind).parameters else {}
    network = kind(**given, **arguments)
    title = getattr(kind, "__name__", "the backbone")
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{title} makes a {type(network).__name__}, and a backbone is a torch.nn.Module")
    if getattr(type(network), "forward", None) is nn.Module.forward:
        raise ConfigError(f"{title} has no `forward`, and a backbone makes an image of what it is given by that")
    return network


def source_of(kind: Kind) -> str:
    """SHA-256 of the source of a class or function from outside this package; "" for ours."""
    module = str(getattr(kind, "__module__", ""))
    return "" if module.split(".")[0] in (__name__.split(".")[0], "__main__") else source_digest(module)


def untrained_backbone(
    name: str | Kind, scale: int | str, hyperparameters: Mapping[str, Any] | None = None
) -> tuple[nn.Module, str]:
    """The bare network (compact unless told otherwise) and what it eats, for pretraining."""
    kind = network_named(name)
    facts = facts_of(kind)
    if isinstance(kind, type) and issubclass(kind, FrozenBackbone):
        raise ConfigError(f"backbone={facts.name} is no network that could be trained; choose another")
    return build_network(kind, scale, {**facts.compact, **(hyperparameters or {})}), facts.input_kind


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


def _bundled(kind: Any, facts: Facts, scale: int | str, arguments: Mapping[str, Any]) -> WeightFile | None:
    """The package's file of this network for this problem, if there is one with the arguments that were given."""
    name = f"{facts.name}_{variant(scale)}"
    if not is_bundled_file("backbone", name):
        return None
    file = read_weights(bundled_path("backbone", name))
    found = kind.hyperparameters(file.tensors)
    return file if all(found.get(key) == value for key, value in arguments.items()) else None


def bundled_backbone(name: str, scale: int | str, weights: str = BUNDLED) -> Path:
    """The file of `bundled` or `bundled:NAME`. Raises WeightsError that lists what is bundled."""
    return bundled_path("backbone", "_".join(filter(None, (name, bundled_name(weights, ""), variant(scale)))))


def _weight_path(facts: Facts, scale: int | str, weights: str) -> Path:
    if is_bundled(weights):
        return bundled_backbone(facts.name, scale, weights)
    if weights == OFFICIAL and isinstance(scale, str):
        raise WeightsError(f"there is no official file of {facts.name} for {scale}; give backbone.weights a path")
    return official_weights(facts.name, facts.official, int(scale)) if weights == OFFICIAL else Path(weights)


def _spec(
    facts: Facts, scale: int | str, weights: str, sha256: str, arguments: Mapping[str, Any], precision: str, source: str
) -> BackboneSpec:
    kind, title = facts.input_kind, facts.label
    enlarges = 1 if isinstance(scale, str) else scale
    return BackboneSpec(
        facts.name, enlarges, kind, weights, sha256, arguments, precision=precision, title=title, source=source
    )


def _digest(kind: Kind, arguments: Mapping[str, Any], network: nn.Module | None = None) -> str:
    """Of a network from outside the package: its source, its arguments, and its numbers where no file holds them."""
    digest = hashlib.sha256(f"{source_of(kind)} {sorted(arguments.items())} ".encode())
    for name, tensor in ({} if network is None else network.state_dict()).items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()


def _hyperparameters(kind: Any, file: WeightFile, name: str, scale: int | str) -> dict[str, Any]:
    """What the file's tensors say of the network, checked against the scale."""
    try:
        found: dict[str, Any] = kind.hyperparameters(file.tensors)
    except (WeightsError, IndexError, ValueError, ZeroDivisionError) as error:  # of tensors of strange shapes
        raise WeightsError(f"{file.path} does not fit {name}: {error}") from None
    file.require_scale(scale, found.pop("scale", None))
    return found
