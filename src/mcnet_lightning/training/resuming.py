"""What a checkpoint is of: compared before a training goes on from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from mcnet_lightning.config.validation import keys_of
from mcnet_lightning.data import MeasurementDataModule
from mcnet_lightning.errors import ConfigError, WeightsError
from mcnet_lightning.training.checkpoints import load, readable
from mcnet_lightning.training.processes import requeued_checkpoint

Identity = dict[str, Any]  # what a run and the checkpoint that it goes on from must agree in

LAST = Path("checkpoints") / "last.ckpt"
# what a training starts with: a checkpoint brings its own
START = ("layer", "denoiser", "beta", "initial_weights")
PATCHES = ("seed", "data.train", "data.patch_size", "data.patch_stride", "data.patch_margin", "data.max_patches")
MEASURING = ("data.test", "method", "pictures", "tv", "wavelet", "pnp")  # what is measured afterwards
LABELS = {"backbone_sha256": "SHA-256 of the backbone's weights"}


class RunRecord(Callback):
    """Writes into every checkpoint what it is of."""

    def __init__(self, config: dict[str, Any], identity: Identity, data: MeasurementDataModule) -> None:
        self.record = {"config": config, "identity": identity}
        self.data = data

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["run"] = {**self.record, "patches": self.data.digest()}


def take_up(config: DictConfig, folder: Path, identity: Identity, data: MeasurementDataModule) -> None:
    """Settles where `config.resume` goes on, if anywhere, and that it is the same run.

    Raises ConfigError naming what differs where that cannot be changed, such as scale, backbone, the denoiser's shape
    or the patches. What can be changed acts, and is said in one line; what only a start could use is taken from the
    checkpoint, so that the records of the run say what acted.
    """
    given = config.resume or requeued_checkpoint(folder / LAST)
    if given is None:
        return
    if not Path(given).is_file():
        raise ConfigError(f"resume={given}: there is no such checkpoint")
    path = readable(Path(given))
    config.resume = str(path)
    checkpoint = load(path)
    config_there, identity_there, patches_there = _recorded(checkpoint)
    for name, there, here in _differences(identity_there, identity):
        raise ConfigError(
            f"resume={path} is of another run ({LABELS.get(name, name)}: {there} there, {here} here); "
            "give the settings that it was made with, or leave resume out"
        )
    changed = {key: (_at(config_there, key), value) for key, value in _keys(config) if _holds(config_there, key)}
    changed = {key: (there, here) for key, (there, here) in changed.items() if there != here}
    data.setup("fit")
    if patches_there is not None and patches_there != data.digest():
        reason = _said({key: changed[key] for key in PATCHES if key in changed}) or "the pictures of data.train"
        raise ConfigError(
            f"resume={path} was trained on other patches ({reason}); give the data that it was made with, or leave "
            "resume out"
        )
    kept = {key: pair for key, pair in changed.items() if key.split(".")[0] in START}
    for key, (there, _) in kept.items():
        OmegaConf.update(config, key, there)
    _tell({key: pair for key, pair in changed.items() if key not in kept}, sorted(kept))


def require_fit(path: Path, module: pl.LightningModule) -> None:
    """Raises WeightsError if the checkpoint's tensors are not the module's."""
    found = {name: tuple(tensor.shape) for name, tensor in load(path)["state_dict"].items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    for name, there, here in _differences(found, wanted):
        raise WeightsError(f"resume={path} does not fit: {name} is {there} there, {here} here; leave resume out")
    for name in found.keys() ^ wanted.keys():
        holder = "the checkpoint" if name in found else "this network"
        raise WeightsError(f"resume={path} does not fit: only {holder} has {name}; leave resume out")


def _recorded(checkpoint: dict[str, Any]) -> tuple[dict[str, Any], Identity, str | None]:
    """Settings, identity and patches; where these were not recorded yet, what a layer's checkpoint says of itself."""
    if "run" in checkpoint:
        run = checkpoint["run"]
        return run["config"], run["identity"], run["patches"]
    said = checkpoint.get("mcnet", {})
    denoiser = said["layer"]["denoiser"] if "layer" in said else {}
    return said.get("config", {}), {**said, **_flat("denoiser", denoiser)}, None


def _flat(name: str, values: dict[str, Any]) -> Identity:
    return {f"{name}.{key}": value for key, value in values.items()}


def described(**parts: Any) -> Identity:
    """An identity; what is a dictionary becomes a key per entry: denoiser={"depth": 6} becomes denoiser.depth."""
    identity: Identity = {}
    for name, part in parts.items():
        identity |= _flat(name, part) if isinstance(part, dict) else {name: part}
    return identity


def _differences(there: dict[str, Any], here: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name, value in here.items():
        if name in there and there[name] != value:
            yield name, there[name], value


def _keys(config: DictConfig) -> Iterator[tuple[str, Any]]:
    """The keys that a training follows from."""
    for key, field, value in keys_of(config):
        if (field.metadata if field else {}).get("content", True) and not key.startswith(MEASURING):
            yield key, OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _at(config: Any, key: str) -> Any:
    for word in key.split("."):
        config = config[word]
    return config


def _holds(config: Any, key: str) -> bool:
    for word in key.split("."):
        if not isinstance(config, dict) or word not in config:
            return False
        config = config[word]
    return True


def _said(changes: dict[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{key} {there} -> {here}" for key, (there, here) in changes.items())


@rank_zero_only
def _tell(changed: dict[str, tuple[Any, Any]], kept: list[str]) -> None:
    parts = [f"changed since the checkpoint: {_said(changed)}"] if changed else []
    parts += [f"without effect, since the checkpoint brings its own: {', '.join(kept)}"] if kept else []
    if parts:
        print("; ".join(parts), flush=True)
