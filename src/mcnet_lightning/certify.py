"""Command: `python -m mcnet_lightning.certify` checks a file against its measurement, from the two files alone."""

from omegaconf import DictConfig

from mcnet_lightning.cli.launch import launch


def main() -> None:
    launch("certify", run)


def run(config: DictConfig) -> None:
    from mcnet_lightning.restoration.certification import run_certify

    run_certify(config)


if __name__ == "__main__":
    main()
