"""Command: `python -m mcnet_lightning.pretrain backbone|denoiser ...` trains what the layer stands on."""

from omegaconf import DictConfig

from mcnet_lightning.cli.launch import launch_subcommand


def main() -> None:
    launch_subcommand(
        {
            "backbone": ("pretrain_backbone", run_backbone),
            "denoiser": ("pretrain_denoiser", run_denoiser),
        },
        "train",
    )


def run_backbone(config: DictConfig) -> None:
    """Trains a backbone; writes weights.safetensors, MODEL_CARD.md and history.csv into the run's folder."""
    from mcnet_lightning.training.pretraining_runs import pretrain_backbone

    pretrain_backbone(config)


def run_denoiser(config: DictConfig) -> None:
    """Trains a Gaussian denoiser; writes weights.safetensors, MODEL_CARD.md and history.csv into the run's folder."""
    from mcnet_lightning.training.pretraining_runs import pretrain_denoiser

    pretrain_denoiser(config)


if __name__ == "__main__":
    main()
