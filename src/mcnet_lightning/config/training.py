"""How a network is trained, by which machine, and where that is recorded."""

from dataclasses import dataclass
from typing import Any

from mcnet_lightning.config.keys import key


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
class Trainer:
    """Every argument of Lightning's Trainer; `logger` and `callbacks` are the framework's own."""

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
    min_epochs: int | None = key(None, "epochs at least")
    max_steps: int = key(-1, "optimiser steps at most; -1: no limit")
    min_steps: int | None = key(None, "optimiser steps at least")
    max_time: str | None = key(None, "DD:HH:MM:SS")
    fast_dev_run: Any = key(False, "run this many batches only")
    overfit_batches: int | float = key(0.0, "overfit that many batches (10), or that share (0.1)")
    limit_train_batches: int | float | None = key(None, "how many of the training batches (10), or which share (0.1)")
    limit_val_batches: int | float | None = key(None, "how many of the validation batches (10), or which share (0.1)")
    limit_test_batches: int | float | None = key(None, "how many of the test batches (10), or which share (0.1)")
    limit_predict_batches: int | float | None = key(
        None, "how many of the prediction batches (10), or which share (0.1)"
    )
    val_check_interval: Any = key(None, "validate every so many steps, or share of an epoch")
    check_val_every_n_epoch: int | None = key(1, "validate every so many epochs")
    num_sanity_val_steps: int | None = key(0, "validation batches before training")
    log_every_n_steps: int | None = key(10, "steps between log lines", content=False)
    enable_checkpointing: bool | None = key(True, "write checkpoints")
    enable_progress_bar: bool | None = key(True, "show progress", content=False)
    enable_model_summary: bool | None = key(False, "print the layers", content=False)
    accumulate_grad_batches: int = key(1, "batches per optimiser step", minimum=1)
    gradient_clip_val: float | None = key(None, "largest gradient norm")
    gradient_clip_algorithm: str | None = key(None, "norm or value")
    deterministic: Any = key(None, "true, false or warn")
    benchmark: bool | None = key(None, "cudnn autotuning")
    inference_mode: bool = key(True, "torch.inference_mode in validation and test")
    use_distributed_sampler: bool = key(False, "false: the loaders shard themselves, exactly", choices=(False,))
    profiler: str | None = key(None, "simple or advanced", content=False)
    detect_anomaly: bool = key(False, "autograd anomaly detection")
    barebones: bool = key(False, "no logging, no checkpoints")
    plugins: Any = key(None, "Lightning plugins")
    sync_batchnorm: bool = key(False, "synchronise batch norms")
    reload_dataloaders_every_n_epochs: int = key(0, "rebuild loaders")
    default_root_dir: str | None = key(None, "null: this run's output folder", content=False)
    enable_autolog_hparams: bool = key(True, "log hyper-parameters at start")
    model_registry: str | None = key(None, "Lightning model registry name")


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
