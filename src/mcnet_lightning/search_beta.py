"""Command: `python -m mcnet_lightning.search_beta` finds where beta should start: a coarse grid on held-out images."""

import shlex
import sys

from omegaconf import DictConfig

from mcnet_lightning.launch import launch

NOT_FOR_TRAINING = ("betas=", "device=", "hydra.", "layer.prior_weight=", "-m", "--multirun")


def main() -> None:
    launch("search_beta", run)


def run(config: DictConfig) -> None:
    """Prints the table, writes search_beta.csv into the run's folder, and names the command to go on with."""
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig
    from rich.progress import track

    from mcnet_lightning.build import (
        build_backbone,
        build_data,
        build_degradation,
        build_epsilon,
        build_layer,
        choose_device,
    )
    from mcnet_lightning.evaluation.beta_search import best_beta, print_rows, search_beta, write_rows

    degradation = build_degradation(config)
    backbone, layer = build_backbone(config), build_layer(config).fold()
    images = build_data(config, degradation, backbone).held_out_images()
    betas = sorted(set(config.betas))
    epsilon = build_epsilon(config, degradation.noise_deviation)
    rows = search_beta(layer, backbone, images, betas, epsilon, choose_device(config.device))
    found = list(track(rows, description="searching", total=len(betas), transient=True))
    folder = Path(HydraConfig.get().runtime.output_dir)
    write_rows(folder / "search_beta.csv", found)
    problem = f"x{config.scale}  {backbone.spec.label}  protocol {degradation.name}"
    print_rows(found, f"{len(images)} held-out training images  {problem}")
    print(f"wrote {folder}\ngo on with\n  {train_command(sys.argv[1:], best_beta(found).beta, config.layer.weights)}")


def train_command(words: list[str], beta: float, layer_weights: str) -> str:
    """`train` on the same problem, from the best beta: that of a fresh layer, or in place of a trained one's."""
    kept = [word for word in words if not word.startswith(NOT_FOR_TRAINING)]
    start = f"layer.prior_weight={beta:g}" if layer_weights == "none" else f"beta={beta:g}"
    return shlex.join(["python", "-m", "mcnet_lightning.train", *kept, start])


if __name__ == "__main__":
    main()
