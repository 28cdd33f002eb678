"""What a problem's class says of the command line: which keys it answers, and what it usually goes with."""

import dataclasses
from typing import Any

import yaml
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from mcnet_lightning.config.components import find
from mcnet_lightning.config.composition import conf_dir, group_choices, without_hydra
from mcnet_lightning.config.outline import is_own, shell
from mcnet_lightning.config.problem import Data
from mcnet_lightning.errors import ConfigError

FIRST = "super_resolution"  # the problem that every command has if none is named


def usual(problem: str, group: str, first: str, others: str | None = None) -> str:
    """The option of `group` that goes with a problem of this package, by its class's attribute `usual`; where that says
    nothing `others`, or what goes with the first.
    """
    if problem == FIRST:
        return first
    file, said = conf_dir() / "problem" / f"{problem}.yaml", dict[str, str]()
    if file.is_file():
        said = getattr(_class(yaml.safe_load(file.read_text())["_target_"]), "usual", said)
    return said.get(group, first if others is None else others)


def images_of(config: DictConfig) -> str:
    """What the configured problem takes of a dataset; pictures, where there is none."""
    target = OmegaConf.select(config, "problem._target_")
    return "picture" if target is None else getattr(_class(target), "images", "picture")


def unread(config: DictConfig) -> list[str]:
    """Keys that say how a measurement is simulated, where a command reads measurements from files, and those that the
    chosen problem does not have.
    """
    fields = getattr(OmegaConf.get_type(config), "__dataclass_fields__", {})
    if "problem" not in fields or not fields["problem"].metadata.get("from_files") or config.problem is None:
        return []
    kind = _class(str(config.problem._target_))
    if getattr(kind, "name", None) == FIRST:
        return []
    names = getattr(kind, "from_files", None) or ()
    unused = [name for name, each in fields.items() if each.metadata.get("of_problem")]
    return unused + [f"problem.{name}" for name in config.problem if name not in names]


def check_answered(overrides: list[Override], tree: DictConfig) -> None:
    """Raises ConfigError for a key of problems, such as scale, or of patches, that the chosen one does not have, and
    where a measurement of a file is told how it would be simulated.
    """
    chosen = group_choices(tree).get("problem")
    if chosen in (None, FIRST):
        return
    kind = _class(tree.problem._target_)
    given, local = getattr(kind, "given", ()), getattr(kind, "local", True)
    fields = getattr(OmegaConf.get_type(without_hydra(tree)), "__dataclass_fields__", {})
    if fields["problem"].metadata.get("from_files"):
        _check_from_files(overrides, tree, str(chosen), getattr(kind, "from_files", None))
    of_patches = {f"data.{each.name}" for each in dataclasses.fields(Data) if each.metadata.get("local")}
    for override in overrides:
        if override.key_or_group in of_patches and not local:
            raise ConfigError(
                f"{override.input_line}: problem={chosen} trains on whole images; leave {override.key_or_group} out"
            )
        key = override.key_or_group.split(".")[0]
        if key in fields and fields[key].metadata.get("of_problem") and key not in given:
            raise ConfigError(
                f"{override.input_line}: problem={chosen} has no '{key}'; leave it out"
                + (f", or choose problem={FIRST}" if key != "operator" else "")
            )


def _check_from_files(overrides: list[Override], tree: DictConfig, chosen: str, names: tuple[str, ...] | None) -> None:
    if names is None:
        raise ConfigError(
            f"problem={chosen} is not among those whose measurements are read from files; take super_resolution, mri, "
            "inpainting or deblurring"
        )
    keys = getattr(OmegaConf.get_type(tree.problem), "__dataclass_fields__", {})
    for override in overrides:
        group, _, name = override.key_or_group.partition(".")
        if group != "problem" or not name:
            continue
        if name not in names:
            known = ", ".join(f"problem.{each}" for each in names)
            raise ConfigError(
                f"{override.input_line}: problem.{name} says how a measurement is simulated, and here it is a file's; "
                + ("write noise=" + str(override.value()) if name == "noise" else f"its keys are {known}")
            )
        words = keys[name].metadata.get("words", ())
        if override.value() in words:
            raise ConfigError(
                f"{override.input_line}: a {name} is not drawn for what was measured already; give its file, or leave "
                "it out"
            )


def _class(target: str) -> Any:
    return shell(target) if is_own(target) else find(target)
