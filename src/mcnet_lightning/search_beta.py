"""Command: `python -m mcnet_lightning.search_beta` finds where beta should start: a coarse grid on held-out images."""

from omegaconf import DictConfig

from mcnet_lightning.cli.launch import launch


def main() -> None:
    launch("search_beta", run, "train")


def run(config: DictConfig) -> None:
    from mcnet_lightning.evaluation.command import search

    search(config)


if __name__ == "__main__":
    main()
