"""Packages that not everybody needs: pip installs them with an extra, and what is missing is one sentence."""

from importlib.util import find_spec

from mcnet_lightning.errors import ConfigError

# the modules that tell whether an extra of pyproject.toml is there
EXTRAS = {
    "train": ("pytorch_lightning", "torchmetrics", "kornia", "skimage", "jinja2", "wandb", "tensorboard"),
    "spandrel": ("spandrel",),
    "report": ("matplotlib", "plotly"),
    "demo": ("gradio",),
    "mlflow": ("mlflow",),
}
EXTRA_OF = {module: extra for extra, modules in EXTRAS.items() for module in modules} | {
    "submitit": "train",
    "wandb_workspaces": "train",
}


def installed(module: str) -> bool:
    """Whether `module` can be imported; it is not."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # somebody keeps it out
        return False


def require(module: str, what: str = "this") -> None:
    """Raises ConfigError, with the command that installs it, where `module` is missing."""
    if not installed(module):
        raise ConfigError(
            f"{what} needs the package {module}; install it with pip install 'mcnet-lightning[{EXTRA_OF[module]}]'"
        )


def require_extra(extra: str) -> None:
    """The same for all modules of an extra."""
    for module in EXTRAS[extra]:
        require(module, "this command")
