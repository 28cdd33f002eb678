"""Finds the files of conf/ and composes them with the schemas, through Hydra; every failure is one sentence."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mcnet_lightning.config import register_schemas
from mcnet_lightning.config.components import SEVERAL, adopt, foresee, options_of, registered
from mcnet_lightning.config.outline import is_own
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files.settings import fault_of, yaml_sentence

# what Hydra and OmegaConf make of settings that are none
REFUSALS = (HydraException, OmegaConfBaseException, YAMLError, ValueError, TypeError, RecursionError, OSError)


def conf_dir(config_name: str = "train") -> Path:
    """The folder with `config_name`.yaml: inside an installed package, or beside src/ in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / f"{config_name}.yaml").is_file():
            return folder
    raise ConfigError(f"the configuration '{config_name}' is missing; install the package again")


@contextmanager
def composing(config_name: str) -> Iterator[None]:
    """Within it, `composed` knows the schemas and the folder that holds `config_name`; also within a running command.

    Hydra keeps one state per process: its own run is set aside meanwhile, and no two threads may compose at a time.
    """
    folder = conf_dir(config_name)
    register_schemas(config_name)
    expect_launcher_schemas()
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = running


def expect_launcher_schemas() -> None:
    """A file is checked against the schema of the same name in Hydra's store, as is meant; Hydra would warn of it."""
    warnings.filterwarnings("ignore", message=r"\s*'[^']+' is validated against ConfigStore schema")


def composed(config_name: str, overrides: list[str]) -> DictConfig:
    """The configuration with Hydra's own part under `hydra`; every component in it has its keys."""
    foresee(conf_dir(config_name), config_name, overrides)
    try:
        cfg = compose(config_name, overrides, return_hydra_config=True)
        new = [adopt(*component) for component in _components(cfg)]
        if any(new):
            cfg = compose(config_name, overrides, return_hydra_config=True)
        return cfg
    except REFUSALS as error:
        raise ConfigError(sentence(error)) from error


def _components(cfg: DictConfig) -> Iterator[tuple[str, str, Any]]:
    """Group, option and node of every component that was chosen; this package's own methods have no keys of theirs."""
    for group, option in group_choices(cfg).items():
        if group != SEVERAL:
            yield group, str(option), cfg.get(group)
    for name, node in (cfg.get(SEVERAL) or {}).items():
        if name == "_target_":
            raise ConfigError(f"{SEVERAL}: the file that names {node} must begin with '# @package {SEVERAL}.NAME'")
        target = node.get("_target_", "") if isinstance(node, DictConfig) else ""
        if not (is_own(target) and (conf_dir() / SEVERAL / f"{name}.yaml").is_file()):
            yield SEVERAL, name, node


def check_files(folder: Path, config_name: str) -> None:
    """Raises ConfigError that names the first file of settings in --config-dir that cannot be one."""
    if not folder.is_dir():
        raise ConfigError(f"--config-dir {folder}: there is no such folder")
    ours = conf_dir()
    names = {str(group.relative_to(ours)) for group in ours.rglob("*") if group.is_dir()} | set(registered())
    groups = [folder / name for name in sorted(names)]
    files = [path for group in groups if group.is_dir() for path in sorted(group.glob("*.yaml"))]
    for path in [*files, *folder.glob(f"{config_name}.yaml")]:
        if (fault := fault_of(path)) is not None:
            raise ConfigError(f"{path} cannot be read as settings ({fault}); mend it or give another --config-dir")


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A copy that holds only the command's own keys."""
    cfg = copy.deepcopy(cfg)
    OmegaConf.set_struct(cfg, False)
    cfg.pop("hydra", None)
    OmegaConf.set_struct(cfg, True)
    return cfg


def group_choices(cfg: DictConfig) -> dict[str, str | None]:
    """The chosen option of each of the command's groups; `cfg` comes from `composed`."""
    choices = cfg.hydra.runtime.choices
    return {str(group): choices[group] for group in choices if not str(group).startswith("hydra")}


def group_options(cfg: DictConfig, group: str) -> list[str]:
    """What `group` can be set to: the files GROUP/*.yaml in conf/ and wherever else `cfg` was composed from, and what
    is registered.
    """
    folders = [Path(source.path) for source in cfg.hydra.runtime.config_sources if source.schema == "file"]
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")} | {*options_of(group)})


def sentence(error: BaseException) -> str:
    """What Hydra or OmegaConf say in several lines, and in the cause of their error, as one sentence."""
    if isinstance(error, YAMLError):
        return yaml_sentence(error)
    parts = []
    for part in (error, error.__cause__):
        lines = str(part).strip().splitlines() if part is not None else []
        if len(lines) > 1 and lines[0].endswith("raised while composing config:"):  # In 'FILE': KindOfError raised ...
            lines = [lines[0].split(":")[0] + ": " + lines[1]]
        parts += lines[:1]
    return ": ".join(parts) or type(error).__name__
