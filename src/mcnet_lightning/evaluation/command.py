"""The commands `evaluate` and `search_beta`, from config to files."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.progress import track

from mcnet_lightning.backbones import FrozenBackbone
from mcnet_lightning.build import (
    build_backbone,
    build_data,
    build_epsilon,
    build_layer,
    build_methods,
    build_problem,
    choose_device,
)
from mcnet_lightning.config.running import running
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.evaluation.beta_search import best_beta, print_rows, search_beta, write_rows
from mcnet_lightning.evaluation.ladder import Ladder
from mcnet_lightning.evaluation.runs import evaluate_ladder, require_images
from mcnet_lightning.evaluation.settling import settle
from mcnet_lightning.evaluation.tables import write_metrics
from mcnet_lightning.problems import Problem

NOT_FOR_TRAINING = ("betas=", "device=", "hydra.", "layer.prior_weight=", "-m", "--multirun")


def evaluate(config: DictConfig) -> None:
    """Writes metrics.csv, and where asked for traces.csv and one PNG per image and method, into the run's folder.

    Raises CertificateError after that where epsilon was not met, WeightsError or ConvergenceError where a network or a
    solve gave NaN.
    """
    problem = build_problem(config)
    layer = None if config.layer.weights == "none" else build_layer(config, problem).fold()
    data, backbone = build_data(config, problem), build_backbone(config, problem)
    images = data.test_images()
    require_images(images)  # before a search for beta
    folder = Path(HydraConfig.get().runtime.output_dir)
    settle(config, problem, backbone, layer, data, folder)
    ladder = build_ladder(config, backbone, layer, problem, config.device)
    records, failures = evaluate_ladder(
        ladder,
        images,
        pictures=folder / "pictures" if config.pictures else None,
        traces=folder / "traces.csv" if config.traces else None,
    )
    write_metrics(folder / "metrics.csv", records)
    print(f"wrote {folder}")
    failures.raise_first()


def build_ladder(
    config: DictConfig,
    backbone: FrozenBackbone,
    layer: EquilibriumLayer | None,
    problem: Problem,
    device: str = "auto",
) -> Ladder:
    return Ladder(
        backbone, layer, problem, build_epsilon(config), build_methods(config, problem), choose_device(device)
    )


def search(config: DictConfig) -> None:
    """Prints the table, writes search_beta.csv into the run's folder, and names the command to go on with."""
    problem = build_problem(config)
    backbone, layer = build_backbone(config, problem), build_layer(config, problem).fold()
    data, folder = build_data(config, problem, backbone), Path(HydraConfig.get().runtime.output_dir)
    settle(config, problem, backbone, None, data, folder)
    images = data.held_out_images()
    betas = sorted(set(config.betas))
    rows = search_beta(layer, backbone, images, betas, build_epsilon(config), choose_device(config.device))
    found = list(track(rows, description="searching", total=len(betas), transient=True))
    write_rows(folder / "search_beta.csv", found, problem.figures[0])
    what = problem.name if problem.scale is None else f"x{problem.scale}"
    about = f"{what}  {backbone.spec.label}  protocol {problem.label}/{problem.operator_name}"
    print_rows(found, f"{len(images)} held-out training images  {about}", problem.figures[0])
    command = train_command(running.get().words, best_beta(found).beta, config.layer.weights)
    print(f"wrote {folder}\ngo on with\n  {command}")


def train_command(words: Iterable[str], beta: float, layer_weights: str) -> str:
    """`train` on the same problem, from the best beta: that of a fresh layer, or in place of a trained one's."""
    kept = [word for word in words if not word.startswith(NOT_FOR_TRAINING)]
    start = f"layer.prior_weight={beta:g}" if layer_weights == "none" else f"beta={beta:g}"
    return shlex.join(["python", "-m", "mcnet_lightning.train", *kept, start])
