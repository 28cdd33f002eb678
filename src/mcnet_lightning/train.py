"""Command: `python -m mcnet_lightning.train` trains the equilibrium layer, measures it, and prints the ladder."""

from omegaconf import DictConfig

from mcnet_lightning.cli.launch import launch


def main() -> None:
    launch("train", run, "train")


def run(config: DictConfig) -> None:
    """Writes checkpoints/, layer.safetensors, MODEL_CARD.md, history.csv, pictures/ and, last, metrics.csv."""
    from mcnet_lightning.training.layer_run import train_layer

    train_layer(config)


if __name__ == "__main__":
    main()
