"""Command: `python -m mcnet_lightning.restore` makes a user's own pictures agree with what was measured."""

from omegaconf import DictConfig

from mcnet_lightning.cli.launch import launch


def main() -> None:
    launch("restore", run)


def run(config: DictConfig) -> None:
    from mcnet_lightning.restoration.command import restore

    restore(config)


if __name__ == "__main__":
    main()
