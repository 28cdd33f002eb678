"""What the classes of a run's components say of them; of this package's own it is read without loading torch."""

from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from mcnet_lightning.config.components import find
from mcnet_lightning.config.composition import conf_dir
from mcnet_lightning.config.outline import is_own, shell
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.reporting.runs import Run

if TYPE_CHECKING:
    from mcnet_lightning.methods import Method


def facts(run: Run, method: str) -> "type[Method] | None":
    """The class of a method in a run; None where it is not here, so that nothing can be told of it."""
    return _class(str(run.settings.get(f"method.{method}._target_", "")), method)


@cache
def _class(target: str, method: str) -> Any:
    file = conf_dir() / "method" / f"{method}.yaml"
    if not target and file.is_file():
        target = yaml.safe_load(file.read_text())["_target_"]
    return class_at(target)


@cache
def class_at(target: str) -> Any:
    """The class of a dotted path; None where it is not here."""
    try:
        return shell(target) if is_own(target) else find(target)
    except (ConfigError, KeyError, FileNotFoundError):
        return None
