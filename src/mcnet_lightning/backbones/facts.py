"""What the house must know of a network stands on its class; what is not said there has a default here."""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from torch import nn

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files.downloads import RemoteFile

Kind = Callable[..., Any]  # a class of networks, or a function that makes one


@dataclass(frozen=True)
class Facts:
    """Attributes that a class of networks may have; a function has none."""

    name: str
    label: str  # for tables and pages
    input_kind: str = "upsampled"  # a name of what was observed, see BackboneSpec
    citation: str = ""
    levels: str = "0..1"  # the range that the network itself computes on
    start_of_beta: float = 0.3  # RDN x3, one epoch on the photographs: -0.006 dB against -0.124 dB with 0.05
    default_weights: str | None = "none"  # "bundled" if there are some; "usual": where there are; None: it has none
    anchor: str = ""  # the tensor by which a file's names are recognised; its first one if not said
    compact: Mapping[str, int] = field(default_factory=dict)  # arguments of the bundled, smaller variant
    official: Mapping[int, RemoteFile] = field(default_factory=dict)  # the authors' files, by scale


def facts_of(kind: Kind, **said: Any) -> Facts:
    """Those of a class, unless something else is `said`."""
    found = {each.name: getattr(kind, each.name) for each in fields(Facts) if hasattr(kind, each.name)}
    found |= {name: value for name, value in said.items() if value is not None}
    name = str(found.setdefault("name", getattr(kind, "__name__", "network").lower()))
    return Facts(**{"label": name, **found})


def networks() -> dict[str, type[nn.Module]]:
    """The networks of this package by name: classes in backbones/ that have one."""
    here = pkgutil.iter_modules([str(Path(__file__).parent)])
    modules = [import_module(f"{__package__}.{each.name}") for each in here]
    values = [value for module in modules for value in vars(module).values()]
    kinds = [value for value in values if isinstance(value, type) and issubclass(value, nn.Module)]
    return {vars(kind)["name"]: kind for kind in kinds if isinstance(vars(kind).get("name"), str)}


def network_named(name: str | Kind) -> Kind:
    """The class of that name, of this package or of one that is installed; a class itself passes."""
    if not isinstance(name, str):
        return name
    known = networks()
    others = {point.name: point for point in entry_points(group="mcnet_lightning.components")}
    if name in known:
        return known[name]
    if f"backbone.{name}" in others:
        kind: Kind = others[f"backbone.{name}"].load()
        return kind
    raise ConfigError(f"backbone {name!r} is unknown; use one of {', '.join(known)}")
