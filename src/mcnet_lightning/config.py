"""Typed schemas of every command: one dataclass per group, one field per key, its meaning beside it.

`--help`, the range checks and the spelling suggestions are all read from these fields, and the files in conf/ hold only
what differs from them. Imports neither torch nor Lightning, so that a typo is answered at once.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

PROTOCOLS = ("paper", "standard")
SCALES = (2, 3, 4)
LADDER = ("bicubic", "bicubic+projection", "backbone", "backbone+projection", "mcnet")
METHODS = (*LADDER[:-1], "tvtv", "mcnet")  # tvtv takes ten times as long as the others together


def key(default: Any, meaning: str, **limits: Any) -> Any:
    """A configuration key: default (MISSING: to be given), meaning, and limits that settings/ enforces.

    `choices`, `minimum`, `maximum`: of a value, or of each item of a list; `exclusive` or `exclusive_minimum` leaves
    the minimum itself out. `path="file"` or `"folder"`: what must exist, unless the value is one of `words`.
    """
    metadata = {"help": meaning, **limits}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


# ------------------------------------------------------------------------------------------------ what is measured


@dataclass
class BicubicOperator:
    boundary: str | None = key(
        None,
        "how the kernel meets the border; null takes the protocol's own (paper: truncated, standard: symmetric)",
        choices=("truncated", "symmetric", "replicate"),
    )


@dataclass
class Protocol:
    name: str = key("paper", "how HR becomes LR and how quality is measured", choices=PROTOCOLS)
    quantise: bool = key(True, "round LR to 8 bit, as the protocol prescribes; false leaves it in float")


@dataclass
class Data:
    root: str | None = key(
        MISSING,
        "folder that holds train/NAME and test/NAME; null: the embedded photographs, and T91, Set5, Set14 by download",
        path="folder",
    )
    train: list[str] = key(MISSING, "training sets by name; every tenth image is held out for validation")
    test: list[str] = key(MISSING, "test sets by name")
    hr: str | None = key(None, "folder of HR test images of your own, in place of root/test/NAME", path="folder")
    lr: str | None = key(
        None, "folder of their measured LR images, matched by name; null: the protocol makes LR from HR", path="folder"
    )
    patch_size: int = key(48, "side of a training patch in HR pixels; a multiple of the scale", minimum=12)
    patch_stride: int = key(48, "distance between patches in HR pixels", minimum=4)
    max_patches: int | None = key(None, "use at most this many patches, drawn with the seed; null: all", minimum=1)
    batch_size: int = key(16, "patches per step", minimum=1)
    validation_size: int = key(192, "side of the central crop of a held-out image, in HR pixels", minimum=48)
    validation_images: int = key(4, "held-out images used at each validation", minimum=1)
    num_workers: int = key(0, "loader processes; patches are in memory, so 0 is fastest", minimum=0)
    cache_dir: str | None = key(None, "where backbone outputs are kept; null: the user's cache folder or $MCNET_CACHE")


# ------------------------------------------------------------------------------------------------ the model


@dataclass
class Network:
    """A frozen network with weights."""

    name: str = MISSING
    weights: str = key(
        "bundled",
        "bundled (ours, in the package), official (the authors', downloaded once) or the path of a weight file",
        path="file",
        words=("bundled", "official"),
    )
    precision: str = key(
        "float32",
        "of the backbone's convolutions; the layer stays in float32",
        choices=("float32", "bfloat16", "float16"),
    )


@dataclass
class SRCNNBackbone(Network):
    name: str = "srcnn"


@dataclass
class RCANBackbone(Network):
    name: str = "rcan"
    groups: int | None = key(None, "residual groups; null: as in the weight file, else 3 (published: 10)", minimum=1)
    blocks: int | None = key(None, "blocks per group; null: as in the weight file, else 4 (published: 20)", minimum=1)
    features: int | None = key(None, "channels; null: as in the weight file, else 64", minimum=3)
    reduction: int | None = key(None, "channels per squeezed one; null: as in the weight file, else 16", minimum=1)


@dataclass
class RDNBackbone(Network):
    name: str = "rdn"
    blocks: int | None = key(None, "D, dense blocks; null: as in the weight file, else 4 (published: 16)", minimum=1)
    layers: int | None = key(None, "C, layers per block; null: as in the weight file, else 4 (published: 8)", minimum=1)
    growth: int | None = key(None, "G, channels per layer; null: as in the weight file, else 32 (64)", minimum=1)
    features: int | None = key(None, "G0, channels; null: as in the weight file, else 64", minimum=3)


@dataclass
class SpandrelBackbone(Network):
    name: str = "spandrel"
    weights: str = key(MISSING, "a weight file of any network that spandrel detects", path="file")


@dataclass
class PrecomputedBackbone:
    name: str = "precomputed"
    root: str = key(MISSING, "folder of super-resolved pictures, matched by name to the test images", path="folder")


@dataclass
class BicubicBackbone:
    name: str = "bicubic"


@dataclass
class Layer:
    weights: str = key(
        "none",
        "bundled, a path (own checkpoint or published format), or none: train starts afresh, evaluate uses no layer",
        path="file",
        words=("bundled", "none"),
    )
    prior_weight: float | None = key(
        None,
        "start value of beta, the weight of ||x - w||^2; null: 0.05 on srcnn and bicubic, 0.3 on stronger backbones",
        minimum=0.0,
    )
    prior_weight_floor: float = key(0.015, "beta never falls below this: where the map contracts", minimum=0.0)
    penalty: float = key(1.0, "rho, the ADMM penalty", minimum=0.0, exclusive=True)


@dataclass
class Denoiser:
    depth: int = key(6, "number of convolutions", minimum=2)
    channels: int = key(64, "features of each hidden layer", minimum=1)
    parameterisation: str = key(
        "noise_residual",
        "R(v) = v - N(v), (1 - a) v + a N(v), or N(v)",
        choices=("noise_residual", "averaged", "direct"),
    )
    averaging: float = key(0.5, "a of `averaged`, in (0, 1/2]", minimum=0.0, maximum=0.5, exclusive_minimum=True)
    spectral_norm: bool = key(True, "keep every convolution 1-Lipschitz while training")
    weights: str = key(
        "bundled",
        "where a fresh layer starts: bundled (ours), none (random) or a path",
        path="file",
        words=("bundled", "none"),
    )


@dataclass
class Anderson:
    _target_: str = "mcnet_lightning.equilibrium.AndersonSolver"
    tolerance: float = key(1e-5, "stop a sample at ||T(y) - y|| / ||T(y)|| below this", minimum=0.0, exclusive=True)
    max_evaluations: int = key(100, "evaluations of T after which a sample counts as not converged", minimum=1)
    history_size: int = key(10, "m, past residuals that are combined", minimum=1)
    mixing: float = key(1.0, "relaxation in (0, 1]", minimum=0.0, maximum=1.0, exclusive_minimum=True)
    ridge: float = key(1e-8, "regulariser of the normalised Gram matrix", minimum=0.0)
    half_evaluations: bool | None = key(
        None,
        "most evaluations with bfloat16 convolutions, to the same tolerance in float32; null: where that is faster",
    )


@dataclass
class Picard:
    _target_: str = "mcnet_lightning.equilibrium.PicardSolver"
    tolerance: float = key(1e-5, "stop a sample at ||T(y) - y|| / ||T(y)|| below this", minimum=0.0, exclusive=True)
    max_evaluations: int = key(500, "evaluations of T after which a sample counts as not converged", minimum=1)
    mixing: float = key(1.0, "relaxation in (0, 1]", minimum=0.0, maximum=1.0, exclusive_minimum=True)


@dataclass
class GMRES:
    _target_: str = "mcnet_lightning.equilibrium.GMRES"
    tolerance: float = key(1e-2, "relative residual of the adjoint equation", minimum=0.0, exclusive=True)
    max_products: int = key(40, "vector-Jacobian products at most", minimum=1)
    half_products: bool | None = key(None, "bfloat16 convolutions in the backward pass; null: where that is faster")


@dataclass
class AdjointAnderson:
    _target_: str = "mcnet_lightning.equilibrium.AdjointAnderson"
    tolerance: float = key(1e-2, "relative residual of the adjoint equation", minimum=0.0, exclusive=True)
    max_products: int = key(60, "vector-Jacobian products at most", minimum=1)
    history_size: int = key(20, "past residuals that are combined", minimum=1)
    half_products: bool | None = key(None, "bfloat16 convolutions in the backward pass; null: where that is faster")
    ridge: float = key(1e-10, "regulariser of the normalised Gram matrix", minimum=0.0)


@dataclass
class Neumann:
    _target_: str = "mcnet_lightning.equilibrium.Neumann"
    terms: int = key(10, "terms of the Neumann series after the identity", minimum=1)


@dataclass
class JacobianFree:
    _target_: str = "mcnet_lightning.equilibrium.JacobianFree"


@dataclass
class Unrolled:
    _target_: str = "mcnet_lightning.equilibrium.Unrolled"
    max_evaluations: int = key(50, "taped Picard steps; memory grows with them", minimum=1)


# ------------------------------------------------------------------------------------------------ training


@dataclass
class Optimiser:
    learning_rate: float = key(2e-4, "Adam's largest step", minimum=0.0)
    beta_learning_rate: float = key(1e-2, "Adam's step for beta's raw parameter", minimum=0.0)
    warmup_steps: int = key(20, "steps of linear warm-up; cosine decay afterwards", minimum=0)
    final_fraction: float = key(0.1, "learning rate at the end, as a fraction of its peak", minimum=0.0, maximum=1.0)
    warm_start: bool = key(True, "start the fixed point of a patch from where its last visit ended")
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
    precision: str = key("32-true", "32-true, bf16-mixed, ...; the projection always stays in float32 or better")
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
    log_every_n_steps: int | None = key(10, "steps between log lines")
    enable_checkpointing: bool | None = key(True, "write checkpoints")
    enable_progress_bar: bool | None = key(True, "show progress")
    enable_model_summary: bool | None = key(False, "print the layers")
    accumulate_grad_batches: int = key(1, "batches per optimiser step", minimum=1)
    gradient_clip_val: float | None = key(None, "largest gradient norm")
    gradient_clip_algorithm: str | None = key(None, "norm or value")
    deterministic: Any = key(None, "true, false or warn")
    benchmark: bool | None = key(None, "cudnn autotuning")
    inference_mode: bool = key(True, "torch.inference_mode in validation and test")
    use_distributed_sampler: bool = key(True, "shard the loaders under DDP")
    profiler: str | None = key(None, "simple or advanced")
    detect_anomaly: bool = key(False, "autograd anomaly detection")
    barebones: bool = key(False, "no logging, no checkpoints")
    plugins: Any = key(None, "Lightning plugins")
    sync_batchnorm: bool = key(False, "synchronise batch norms")
    reload_dataloaders_every_n_epochs: int = key(0, "rebuild loaders")
    default_root_dir: str | None = key(None, "null: this run's output folder")
    enable_autolog_hparams: bool = key(True, "log hyper-parameters at start")
    model_registry: str | None = key(None, "Lightning model registry name")


@dataclass
class Logger:
    wandb: bool = key(True, "record to Weights & Biases")
    offline: bool = key(True, "keep W&B records on this machine; false uploads and needs `wandb login`")
    project: str = key("mcnet_lightning", "W&B project")
    entity: str | None = key(None, "W&B user or team")
    group: str | None = key(None, "W&B group, such as the name of a sweep")
    tags: list[str] = key([], "W&B tags beside backbone, scale and protocol")


# ------------------------------------------------------------------------------------------------ the commands


@dataclass
class Command:
    """Keys that every command has."""

    seed: int = key(0, "seed of every random draw", minimum=0)
    data: Data = field(default_factory=Data)


@dataclass
class Problem(Command):
    """A super-resolution problem: which LR images, made how."""

    scale: int = key(2, "down-sampling factor", choices=SCALES)
    operator: Any = None
    protocol: Protocol = field(default_factory=Protocol)
    backbone: Any = None


@dataclass
class TVTV:
    _target_: str = "mcnet_lightning.baselines.TVTV"
    prior_weight: float = key(1.0, "weight of ||D (x - w)||_1 against ||D x||_1", minimum=0.0)
    tolerance: float = key(1e-3, "stop at this optimality gap, relative to the objective", minimum=0.0, exclusive=True)
    max_steps: int = key(3000, "primal-dual steps at most", minimum=1)


@dataclass
class Training:
    """Keys of the commands that run a Lightning Trainer."""

    optimiser: Optimiser = field(default_factory=Optimiser)
    trainer: Trainer = field(default_factory=Trainer)
    logger: Logger = field(default_factory=Logger)
    resume: str | None = key(None, "checkpoint to continue from, such as RUN/checkpoints/last.ckpt", path="file")


@dataclass
class Consistent(Problem):
    """A problem solved by an equilibrium layer on top of its backbone."""

    epsilon: float = key(0.0, "largest ||b - A x||_2, per patch in training and per image in testing", minimum=0.0)
    beta: float | None = key(None, "overrides the layer's beta, the weight of ||x - w||^2", minimum=0.0)
    layer: Layer = field(default_factory=Layer)
    denoiser: Denoiser = field(default_factory=Denoiser)
    solver: Any = None
    backward: Any = None
    method: list[str] = key(list(LADDER), "rows of the ladder", choices=METHODS)
    tvtv: TVTV = field(default_factory=TVTV)


@dataclass
class TrainConfig(Training, Consistent):
    pass


@dataclass
class EvaluateConfig(Consistent):
    device: str = key("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    pictures: bool = key(False, "write each method's picture beside metrics.csv")


@dataclass
class PretrainBackboneConfig(Training, Problem):
    initial_weights: str | None = key(None, "start from this file instead of random weights", path="file")


@dataclass
class PretrainDenoiserConfig(Training, Command):
    denoiser: Denoiser = field(default_factory=Denoiser)
    noise_level: list[float] = key(
        [0.0125, 0.025], "range of the Gaussian noise's standard deviation, in units of 1", minimum=0.0
    )
    initial_weights: str | None = key(None, "start from this file instead of random weights", path="file")


def register_schemas() -> None:
    """Puts every schema in Hydra's store: commands under their name, variants of a group under schema/<group>."""
    store = ConfigStore.instance()
    for name, node in {
        "train": TrainConfig,
        "evaluate": EvaluateConfig,
        "pretrain_backbone": PretrainBackboneConfig,
        "pretrain_denoiser": PretrainDenoiserConfig,
    }.items():
        store.store(name=f"{name}_schema", node=node)
    variants: dict[str, dict[str, type]] = {
        "operator": {"bicubic": BicubicOperator},
        "backbone": {
            "srcnn": SRCNNBackbone,
            "rcan": RCANBackbone,
            "rdn": RDNBackbone,
            "spandrel": SpandrelBackbone,
            "precomputed": PrecomputedBackbone,
            "bicubic": BicubicBackbone,
        },
        "solver": {"anderson": Anderson, "picard": Picard},
        "backward": {
            "gmres": GMRES,
            "anderson": AdjointAnderson,
            "neumann": Neumann,
            "jfb": JacobianFree,
            "unrolled": Unrolled,
        },
    }
    for group, options in variants.items():
        for name, node in options.items():
            store.store(group=f"schema/{group}", name=name, node=node)
