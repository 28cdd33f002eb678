"""Packages that not everybody needs: pip installs them with an extra, and what is missing is one sentence."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from mcnet_lightning.errors import ConfigError

EXTRAS = {  # of pyproject.toml, as the modules that they bring
    "train": (
        "pytorch_lightning",
        "torchmetrics",
        "kornia",
        "skimage",
        "jinja2",
        "wandb",
        "wandb_workspaces",
        "tensorboard",
        "joblib",
        "submitit",
    ),
    "spandrel": ("spandrel",),
    "report": ("matplotlib", "plotly"),
    "demo": ("gradio",),
    "mlflow": ("mlflow",),
}
EXTRA_OF = {module: extra for extra, modules in EXTRAS.items() for module in modules}


def place_of(module: str) -> Path | None:
    """The file that importing `module` would run; None where there is none. It is not imported."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):  # somebody keeps it out
        return None
    return None if spec is None else Path(spec.origin or module)


def require(module: str, what: str = "this") -> None:
    """Raises ConfigError, with the command that installs it, where `module` is missing."""
    if place_of(module) is None:
        raise ConfigError(
            f"{what} needs the package {module}; install it with pip install 'mcnet-lightning[{EXTRA_OF[module]}]'"
        )


def require_extras(extras: Iterable[str]) -> None:
    """The same for all modules of extras."""
    for extra in extras:
        for module in EXTRAS[extra]:
            require(module, "this command")
