"""Components: the classes that `_target_` names. Where they are found, and which keys they have. Imports no torch.

A component's keys are the arguments of its constructor: their names, types and defaults, their meanings (lines
`name: meaning` of the class's documentation) and their limits (`Annotated[float, {"minimum": 0.0}]`, see `key`). Those
of this package are read from its source, others from the imported class. The house adds a few for each group.
"""

import pkgutil
import traceback
from dataclasses import fields
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mcnet_lightning.config.outline import is_own, named_classes, shell
from mcnet_lightning.config.signatures import schema_of
from mcnet_lightning.config.validation import closest, refusal
from mcnet_lightning.errors import ConfigError

MODULE = "torch.nn.modules.module.Module"
ROLES: dict[str, tuple[str, str]] = {  # the class that one of a group extends, and what it is called; imported by none
    "backbone": (MODULE, "a torch.nn.Module"),
    "denoiser": (MODULE, "a torch.nn.Module"),
    "operator": ("mcnet_lightning.operators.base.MeasurementOperator", "a MeasurementOperator"),
    "method": ("mcnet_lightning.methods.base.Method", "a Method of mcnet_lightning.methods"),
    "problem": ("mcnet_lightning.problems.base.Problem", "a Problem of mcnet_lightning.problems"),
}
PARTS = {"solver": ("solve",), "backward": ("solve_adjoint", "unroll")}  # or it has one of these methods
NAMED = {*ROLES, *PARTS}  # the groups whose options name a class
SEVERAL = "method"  # the group of which several options are chosen, each under its own name
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
ENTRY_POINTS = "mcnet_lightning.components"  # name = "backbone.toy", value = "package.module:Toy"


def find(target: str) -> Any:
    """The class or function at a dotted path. Raises ConfigError, in one sentence, if there is none."""
    module_name, _, name = target.rpartition(".")
    if not module_name:
        raise ConfigError(f"_target_={target}: give the dotted path of a class or function, as in module.Class")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not f"{module_name}.".startswith(f"{missing}."):
            raise ConfigError(f"_target_={target}: {module_name} cannot be imported, {place_of(error)}") from error
        hint = closest(missing, [each.name for each in pkgutil.iter_modules()])
        raise ConfigError(
            f"_target_={target}: there is no module '{missing}'{hint}; it is looked for in the folder of --config-dir, "
            "the current folder and those of PYTHONPATH"
        ) from None
    except Exception as error:
        raise ConfigError(f"_target_={target}: {module_name} cannot be imported, {place_of(error)}") from error
    found = getattr(module, name, None)
    if not callable(found):
        there = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        what = "is neither a class nor a function" if hasattr(module, name) else f"does not exist in {module_name}"
        raise ConfigError(f"_target_={target}: '{name}' {what}{closest(name, there)}")
    return found


def check_role(group: str, target: str, kind: Any) -> None:
    """Raises ConfigError where a class is none of its group's. What a function makes shows when it is called."""
    if not isinstance(kind, type):
        return
    base, wanted = ROLES.get(group, ("", ""))
    if base and base not in {f"{each.__module__}.{each.__qualname__}" for each in kind.__mro__}:
        raise ConfigError(f"{group}={target}: {kind.__name__} is no {group}, which is {wanted}")
    parts = PARTS.get(group, ())
    if parts and not any(hasattr(kind, part) for part in parts):
        needed = " or ".join(f"`{part}`" for part in parts)
        raise ConfigError(f"{group}={target}: {kind.__name__} is no {group}, which has a method {needed}")


def place_of(error: BaseException) -> str:
    """An exception of somebody else's code in one line, and where it came up."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


@cache
def registered() -> dict[str, dict[str, str]]:
    """The dotted path of every component that has no file in conf/: by group and option.

    Networks of this package stand in backbones/, each with a `name`; installed distributions give entry points.
    """
    found: dict[str, dict[str, str]] = {"backbone": named_classes("backbones")}
    for point in entry_points(group=ENTRY_POINTS):
        group, _, option = point.name.partition(".")
        found.setdefault(group, {}).setdefault(option, point.value.replace(":", "."))
    return found


def register_components() -> None:
    """Puts the components that have no file into Hydra's store, with their path alone; see `adopt`."""
    for group, options in registered().items():
        for option, target in options.items():
            if ConfigStore.instance().get_type(f"{group}/{option}.yaml").name == "NOT_FOUND":
                _store(group, option, target)


def foresee(conf: Path, config_name: str, overrides: list[str]) -> None:
    """Gives the components of this package that will be chosen their keys, so that nothing is composed twice."""
    defaults = yaml.load((conf / f"{config_name}.yaml").read_text(), LOADER)["defaults"]
    chosen = {group: option for each in defaults if isinstance(each, dict) for group, option in each.items()}
    chosen |= {word.partition("=")[0]: word.partition("=")[2] for word in overrides}
    resolved = OmegaConf.create(chosen)
    for group in [group for group in chosen if group in registered() or (conf / group).is_dir()]:
        try:
            option = resolved[group]  # one that goes with the problem is written ${usual:...}
        except OmegaConfBaseException:
            continue  # whatever is wrong is said when it is composed
        path = conf / group / f"{option}.yaml"
        target = registered().get(group, {}).get(option)
        if target is None and path.is_file():
            target = (yaml.load(path.read_text(), LOADER) or {}).get("_target_")
        if target is not None and is_own(target):
            _store(group, option, _schema(group, option, target))


@cache
def _schema(group: str, option: str, target: str) -> type:
    return schema_of(group, option, target, shell(target) if is_own(target) else find(target))


def adopt(group: str, option: str, node: Any) -> bool:
    """Gives the option of a group, composed as `node`, the keys of the component that it names; whether that was new.

    Raises ConfigError where there is no such component, and where the option says of it what cannot be.
    """
    if group in NAMED and OmegaConf.is_dict(node) and "_target_" not in node:
        raise ConfigError(f"{group}={option} names no class; write the line `_target_: module.Class` into its file")
    if not isinstance(node, DictConfig) or OmegaConf.get_type(node) is not dict or "_target_" not in node:
        return False
    target = str(node._target_)
    if not is_own(target):
        check_role(group, target, find(target))
    schema = _schema(group, option, target)
    keys = {each.name: each for each in fields(schema)}
    settings: Any = OmegaConf.to_container(node)
    for name in map(str, node):
        if name not in keys:
            hint = closest(name, [each for each in keys if "help" in keys[each].metadata], listed=True)
            raise ConfigError(f"{group}={option}: {target} takes no '{name}'{hint}")
        value = settings[name]
        try:
            OmegaConf.update(OmegaConf.structured(schema), name, value)
        except (OmegaConfBaseException, ValueError, TypeError) as error:
            raise ConfigError(f"{group}={option}: {refusal(f'{group}.{name}', keys[name], value)}") from error
    _store(group, option, schema)
    return True


def choose(group: str, target: str) -> None:
    """Makes a dotted path an option of its group. Raises ConfigError if nothing is there, or nothing of that group."""
    found = find(target)
    check_role(group, target, found)
    if group == SEVERAL:
        name = getattr(found, "name", "") or str(found.__name__).lower()
        _store(group, target, _schema(group, name, target), name)
    else:
        _store(group, target, target)


def options_of(group: str) -> list[str]:
    """Those of the store; dotted paths are no options for others."""
    if ConfigStore.instance().get_type(group).name != "GROUP":
        return []
    names = [name.removesuffix(".yaml") for name in ConfigStore.instance().list(group) if name.endswith(".yaml")]
    return [name for name in names if "." not in name]


def _store(group: str, option: str, node: type | str, name: str | None = None) -> None:
    content = {"_target_": node} if isinstance(node, str) else node
    place = f"{group}.{name or option}" if group == SEVERAL else None
    ConfigStore.instance().store(group=group, name=option, node=content, package=place)
