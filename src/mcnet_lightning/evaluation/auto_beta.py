"""beta=auto: the best of a coarse grid on held-out training images, for this network, A and epsilon; found once."""

import hashlib
import json
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mcnet_lightning.backbones import FrozenBackbone
from mcnet_lightning.build import build_epsilon, choose_device
from mcnet_lightning.config.commands import BETAS
from mcnet_lightning.data import MeasurementDataModule, WholeImages
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.errors import DataError
from mcnet_lightning.evaluation.beta_search import best_beta, search_beta
from mcnet_lightning.files import make_folder, write_file
from mcnet_lightning.files.downloads import cache_folder
from mcnet_lightning.problems import Problem


def settle_beta(
    config: DictConfig, problem: Problem, backbone: FrozenBackbone, layer: EquilibriumLayer, data: MeasurementDataModule
) -> float:
    """Puts the number in the place of auto, and into the layer.

    The answer is kept in the cache folder under everything that it follows from. Raises ConfigError without training
    images, ConvergenceError where no beta of the grid converges on all of them.
    """
    images = data.held_out_images()
    path = cache_folder(config.data.cache_dir) / "betas" / f"{_key(config, problem, backbone, layer, images)}.json"
    beta = _kept(path)
    if beta is None:
        rows = search_beta(layer, backbone, images, BETAS, build_epsilon(config), choose_device(_device(config)))
        beta = best_beta(list(rows)).beta
        try:
            make_folder(path.parent)
            write_file(path, _entry(path.stem, beta))
        except DataError as error:
            print(f"beta is searched again next time: {error}", file=sys.stderr)
    config.beta = beta
    layer.set_prior_weight(beta, config.layer.prior_weight_floor)
    print(f"beta=auto: {beta:g}, the best of {len(BETAS)} on {len(images)} held-out training images")
    return beta


def _device(config: DictConfig) -> str:
    on_cpu = "trainer" in config and config.trainer.accelerator == "cpu"
    return str(config.get("device") or ("cpu" if on_cpu else "auto"))


def _key(
    config: DictConfig, problem: Problem, backbone: FrozenBackbone, layer: EquilibriumLayer, images: WholeImages
) -> str:
    settings = {name: OmegaConf.to_container(config[name], resolve=True) for name in ("problem", "solver", "protocol")}
    said = {
        "betas": BETAS,
        "settings": settings,
        "protocol": [problem.label, problem.operator_name],
        "epsilon": build_epsilon(config).stated,
        "backbone": backbone.spec.identity,
        "relaxation": layer.relaxation,
        "seed": config.seed,
    }
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
    for name, tensor in layer.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    for index in range(len(images)):
        seen = images[index]["observation"]
        digest.update(seen.truth.contiguous().numpy().tobytes() + seen.measurement.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def _kept(path: Path) -> float | None:
    """The number of an entry; None if there is none, or it is not as it was written."""
    try:
        text = path.read_bytes()
    except OSError:
        return None
    found = next((beta for beta in BETAS if text == _entry(path.stem, beta)), None)
    if found is None:
        print(f"{path} is damaged; beta is searched again", file=sys.stderr)
    return found


def _entry(key: str, beta: float) -> bytes:
    """With a digest: a byte that a disk has changed may make another number of the grid."""
    return json.dumps({"beta": beta, "sha256": hashlib.sha256(f"{key} {beta}".encode()).hexdigest()}).encode()
