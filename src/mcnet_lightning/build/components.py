"""From the keys of a component to the object: the class that `_target_` names, called with them."""

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from mcnet_lightning.config.components import find, place_of
from mcnet_lightning.config.outline import is_own
from mcnet_lightning.errors import ConfigError, MCNetError


def arguments_of(settings: DictConfig) -> dict[str, Any]:
    """The keys that are arguments of its constructor, as plain values."""
    kind = find(settings._target_)
    names = _parameters(kind)
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in names.values())
    values = OmegaConf.to_container(settings, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items() if key in names or (takes_all and key != "_target_")}


def _parameters(kind: Any) -> Mapping[str, inspect.Parameter]:
    """Those of its constructor: none where it is torch's, which says that it takes anything and refuses it."""
    return {} if getattr(kind, "__init__", None) is nn.Module.__init__ else inspect.signature(kind).parameters


def takes(settings: DictConfig, argument: str) -> bool:
    """Whether its constructor has that argument."""
    return argument in _parameters(find(settings._target_))


def make(group: str, settings: DictConfig, **given: Any) -> Any:
    """The object. `given` are answers of the command, to arguments that the keys leave open or null.

    Raises ConfigError, in one sentence, where a class from outside the package refuses them.
    """
    kind, arguments = find(settings._target_), arguments_of(settings)
    names = _parameters(kind)
    arguments |= {name: value for name, value in given.items() if name in names and arguments.get(name) is None}
    return guarded(group, settings, partial(kind, **arguments))


def guarded(group: str, settings: DictConfig, build: Any) -> Any:
    """What `build` makes; a failure of somebody else's code is one sentence."""
    try:
        return build()
    except MCNetError:
        raise
    except Exception as error:
        if is_own(settings._target_):
            raise
        raise ConfigError(f"{group}={settings._target_} cannot be built, {place_of(error)}") from error


def require(group: str, settings: DictConfig, made: Any, kind: type | None, *methods: str) -> Any:
    """`made` itself. Raises ConfigError where it is no `kind`, or lacks one of the methods of its part."""
    missing = [f"`{method}`" for method in methods if not hasattr(made, method)]
    if (kind is not None and not isinstance(made, kind)) or missing:
        wanted = [f"a {kind.__module__.split('.')[0]} {kind.__name__}"] if kind is not None else []
        raise ConfigError(
            f"{group}={settings._target_} makes a {type(made).__name__}, and {group} needs "
            + " with ".join(
                [*wanted, " and ".join(missing or [f"`{method}`" for method in methods])] if methods else wanted
            )
        )
    return made
