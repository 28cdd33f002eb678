"""Command: `python -m mcnet_lightning.evaluate` measures backbone and layer on test images and prints the ladder."""

from omegaconf import DictConfig

from mcnet_lightning.cli.launch import launch


def main() -> None:
    launch("evaluate", run, "train")


def run(config: DictConfig) -> None:
    from mcnet_lightning.evaluation.command import evaluate

    evaluate(config)


if __name__ == "__main__":
    main()
