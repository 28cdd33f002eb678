"""Command: `python -m mcnet_lightning.evaluate` measures backbone and layer on test images and prints the ladder."""

from omegaconf import DictConfig

from mcnet_lightning.launch import launch


def main() -> None:
    launch("evaluate", run)


def run(config: DictConfig) -> None:
    """Writes metrics.csv, and where asked for traces.csv and one PNG per image and method, into the run's folder.

    Raises CertificateError after that where epsilon was not met, WeightsError or ConvergenceError where a network or a
    solve gave NaN.
    """
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig

    from mcnet_lightning.build import build_backbone, build_data, build_degradation, build_ladder, build_layer
    from mcnet_lightning.evaluation.runs import evaluate_ladder
    from mcnet_lightning.evaluation.tables import write_metrics

    degradation = build_degradation(config)
    layer = None if config.layer.weights == "none" else build_layer(config).fold()
    images = build_data(config, degradation).test_images()
    ladder = build_ladder(config, build_backbone(config), layer, degradation, config.device)
    folder = Path(HydraConfig.get().runtime.output_dir)
    records, failures = evaluate_ladder(
        ladder,
        images,
        pictures=folder / "pictures" if config.pictures else None,
        traces=folder / "traces.csv" if config.traces else None,
    )
    write_metrics(folder / "metrics.csv", records)
    print(f"wrote {folder}")
    failures.raise_first()


if __name__ == "__main__":
    main()
