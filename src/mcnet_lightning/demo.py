"""Command: `python -m mcnet_lightning.demo` serves a page on which pictures are restored in a browser."""

from omegaconf import DictConfig

from mcnet_lightning.cli.launch import launch


def main() -> None:
    launch("demo", run, "demo", "train")


def run(config: DictConfig) -> None:
    """Serves until it is interrupted. Raises ConfigError if the port is taken."""
    from mcnet_lightning.build import choose_device
    from mcnet_lightning.demonstration.serving import serve

    choose_device(config.device)
    serve(config.host, config.port, config.max_megabytes, config.max_megapixels, config.device)


if __name__ == "__main__":
    main()
