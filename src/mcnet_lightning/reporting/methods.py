"""What a method's class says of it, by its name in a run: built-in ones also where the run says no more than that."""

from functools import cache
from importlib import import_module

import yaml

from mcnet_lightning.config.composition import conf_dir
from mcnet_lightning.methods import Method
from mcnet_lightning.reporting.runs import Run


class Unknown(Method):
    """One whose class is not here: nothing can be told of it, so that everything counts."""

    settings = ()


def facts(run: Run, method: str) -> type[Method]:
    """The class of a method in a run."""
    return _class(str(run.settings.get(f"method.{method}._target_", "")), method)


@cache
def _class(target: str, method: str) -> type[Method]:
    file = conf_dir() / "method" / f"{method}.yaml"
    if not target and file.is_file():
        target = yaml.safe_load(file.read_text())["_target_"]
    module, _, name = target.rpartition(".")
    try:
        found: type[Method] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return Unknown
    return found
