"""Command: `python -m mcnet_lightning.dashboard` lays out the W&B workspace in which runs are compared."""

from omegaconf import DictConfig

from mcnet_lightning.cli.launch import launch


def main() -> None:
    launch("dashboard", run, "train")


def run(config: DictConfig) -> None:
    from mcnet_lightning.reporting.dashboard import lay_out

    lay_out(config)


if __name__ == "__main__":
    main()
