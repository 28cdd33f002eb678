"""How a network is trained, by which machine, and where that is recorded."""

from dataclasses import dataclass, fields, make_dataclass
from typing import TYPE_CHECKING, Any

from mcnet_lightning.config.keys import key
from mcnet_lightning.config.lightning_trainer import trainer_arguments


@dataclass
class Optimiser:
    learning_rate: float = key(2e-4, "Adam's largest step", minimum=0.0)
    beta_learning_rate: float = key(1e-2, "Adam's step for beta's raw parameter", minimum=0.0)
    warmup_steps: int = key(20, "steps of linear warm-up; cosine decay afterwards", minimum=0)
    final_fraction: float = key(0.1, "learning rate at the end, as a fraction of its peak", minimum=0.0, maximum=1.0)
    warm_start: bool = key(
        True,
        "start the fixed point of a patch from where its last visit ended (checkpoints hold up to 128 MiB of these)",
    )
    weight_average: float = key(
        0.98, "decay of the exponential moving average of the weights; 0 turns it off", minimum=0.0, maximum=1.0
    )
    loss: str = key("mse", "mean squared or mean absolute error", choices=("mse", "l1"))
    loss_weighting: str = key(
        "prior_error",
        "prior_error: patches weighted by 1 / (mse of w + 3e-5), so that smooth patches count; none: plain MSE",
        choices=("prior_error", "none"),
    )


@dataclass
class UsualTrainer:
    """The arguments of Lightning's Trainer for which this framework has a default, a limit or a word of its own."""

    accelerator: str = key("auto", "cpu, gpu, auto, ...")
    devices: Any = key(1, "how many, or which")
    strategy: str = key("auto", "auto, ddp, ...")
    num_nodes: int = key(1, "machines", minimum=1)
    precision: str = key(
        "32-true",
        "bf16-mixed is for the network alone, the fixed point stays in float32; with weights in less than that, as in "
        "bf16-true, no projection would be exact",
        choices=("32-true", "bf16-mixed", "16-mixed", "64-true", "32", "bf16", "16", "64"),
    )
    max_epochs: int | None = key(1, "epochs", minimum=1)
    max_steps: int = key(-1, "optimiser steps at most; -1: no limit")
    max_time: str | None = key(None, "DD:HH:MM:SS")
    num_sanity_val_steps: int | None = key(0, "validation batches before training")
    log_every_n_steps: int | None = key(10, "steps between log lines", content=False)
    enable_checkpointing: bool | None = key(True, "write checkpoints")
    enable_progress_bar: bool | None = key(True, "show progress", content=False)
    enable_model_summary: bool | None = key(False, "print the layers", content=False)
    accumulate_grad_batches: int = key(1, "batches per optimiser step", minimum=1)
    use_distributed_sampler: bool = key(False, "false: the loaders shard themselves, exactly", choices=(False,))
    profiler: str | None = key(None, "simple or advanced", content=False)
    default_root_dir: str | None = key(None, "null: this run's output folder", content=False)


if TYPE_CHECKING:

    class Trainer(UsualTrainer):
        """Every argument of Lightning's Trainer; `logger` and `callbacks` are the framework's own."""

else:
    usual = [f.name for f in fields(UsualTrainer)]
    Trainer = make_dataclass("Trainer", trainer_arguments(usual), bases=(UsualTrainer,))
    Trainer.__module__ = __name__


@dataclass
class Logger:
    """No result depends on these."""

    wandb: bool = key(True, "record to Weights & Biases", content=False)
    offline: bool = key(True, "keep W&B records on this machine; false uploads and needs `wandb login`", content=False)
    project: str = key("mcnet_lightning", "W&B project and MLflow experiment", content=False)
    entity: str | None = key(None, "W&B user or team", content=False)
    group: str | None = key(None, "W&B group; null: the name of the sweep", content=False)
    tags: list[str] = key([], "W&B tags beside backbone, scale and protocol", content=False)
    tensorboard: bool = key(False, "record to TensorBoard, in the run's folder", content=False)
    mlflow: str | None = key(None, "record to MLflow: folder of its database, or a server's URL", content=False)


@dataclass
class Damage:
    """What the LR that a network is trained on has been through; nothing by default."""

    jpeg: list[int] | None = key(
        None, "range of JPEG qualities, one drawn for each patch and visit; null: no JPEG", minimum=1, maximum=100
    )
    noise: list[float] | None = key(
        None, "range of the noise's standard deviation in grey levels of 255, drawn likewise; null: none", minimum=0.0
    )
    share: float = key(
        1.0, "share of the patches that each of the two happens to, drawn for each by itself", minimum=0.0, maximum=1.0
    )
