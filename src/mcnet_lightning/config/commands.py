"""The keys of every command, in the order in which --help lists them."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig

from mcnet_lightning.config.keys import key
from mcnet_lightning.config.model import Layer
from mcnet_lightning.config.problem import SCALES, Data, Perturbation, Protocol
from mcnet_lightning.config.solving import TV, TVTV, PnP, Wavelet
from mcnet_lightning.config.training import Damage, Logger, Optimiser, Trainer
from mcnet_lightning.config.validation import shown_value
from mcnet_lightning.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda")
NOISE = "noise"  # a word for epsilon
AUTO = "auto"  # a word for beta
BETAS = [0.015, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0]
EPSILON = ("epsilon", "epsilon_rms", "epsilon_levels")  # one question, in several units
EPSILON_RMS = "in place of epsilon: root mean square of b - A x over all measured values, for values in [0, 1]"
EPSILON_LEVELS = "in place of epsilon: the same root mean square in grey levels of 255"


def one_epsilon(cfg: DictConfig) -> None:
    """Raises ConfigError where two keys say how far b - A x may be from 0; null says nothing, and 0 says 0."""
    given = {name: cfg[name] for name in EPSILON if cfg[name] is not None}
    if len(given) > 1:
        words = " and ".join(f"{name}={shown_value(value)}" for name, value in given.items())
        off = " or ".join(f"{name}=null" for name in given)
        raise ConfigError(f"{words} are two answers to one question; take one of them back ({off})")


@dataclass
class Command:
    """Keys that every command has. `check` of a schema raises ConfigError where its keys contradict each other."""

    seed: int = key(0, "seed of every random draw", minimum=0)
    data: Data = field(default_factory=Data)


@dataclass
class Problem(Command):
    """What is measured of what, and by which network it is undone."""

    problem: Any = None
    scale: int | None = key(2, "down-sampling factor", choices=SCALES, of_problem=True)
    operator: Any = field(default=None, metadata={"of_problem": True})
    protocol: Protocol = field(default_factory=Protocol, metadata={"of_problem": True})
    backbone: Any = None

    @staticmethod
    def check(cfg: DictConfig) -> None:
        scale, patch = cfg.scale, cfg.data.patch_size
        if patch % scale:
            nearest = max(scale, round(patch / scale) * scale)
            raise ConfigError(
                f"data.patch_size={patch} is not a multiple of scale={scale}; take data.patch_size={nearest}"
            )


@dataclass
class Training:
    """Keys of the commands that run a Lightning Trainer."""

    optimiser: Optimiser = field(default_factory=Optimiser)
    trainer: Trainer = field(default_factory=Trainer)
    logger: Logger = field(default_factory=Logger)
    resume: str | None = key(
        None, "checkpoint to continue from, such as RUN/checkpoints/last.ckpt", path="file", content=False
    )
    checkpoint_steps: int = key(50, "steps between writes of checkpoints/last.ckpt", minimum=1, content=False)


@dataclass
class Layered(Problem):
    """A problem solved by an equilibrium layer on top of its backbone."""

    epsilon: int | float | str | None = key(
        None,
        "largest ||b - A x||_2, per patch in training and per image in testing; noise: what the noise and the rounding "
        "of b amount to; null: 0, unless another unit says more",
        minimum=0.0,
        words=(NOISE,),
    )
    epsilon_rms: float | None = key(None, EPSILON_RMS, minimum=0.0)
    epsilon_levels: float | None = key(None, EPSILON_LEVELS, minimum=0.0)
    layer: Layer = field(default_factory=Layer)
    denoiser: Any = None
    solver: Any = None
    check = staticmethod(one_epsilon)


@dataclass
class Consistent(Layered):
    """The same, measured beside other methods."""

    beta: int | float | str | None = key(
        None,
        "overrides the layer's beta, the weight of ||x - w||^2; auto: the best of eight on held-out training images, "
        "for this backbone, operator and epsilon, searched once",
        minimum=0.0,
        words=(AUTO,),
    )
    backward: Any = None
    method: Any = None
    pictures: bool = key(False, "write each method's picture, HR and LR beside metrics.csv")
    tvtv: TVTV = field(default_factory=TVTV)
    tv: TV = field(default_factory=TV)
    wavelet: Wavelet = field(default_factory=Wavelet)
    pnp: PnP = field(default_factory=PnP)


@dataclass
class TrainConfig(Training, Consistent):
    pass


@dataclass
class EvaluateConfig(Consistent):
    device: str = key("auto", "where to compute", choices=DEVICES)
    perturbation: Perturbation = field(default_factory=Perturbation, metadata={"of_problem": True})
    traces: bool = key(False, "write traces.csv: the residual at every evaluation of the fixed-point map")


@dataclass
class SearchBetaConfig(Layered):
    betas: list[float] = key(BETAS, "values of beta to try, the weight of ||x - w||^2", minimum=0.0)
    device: str = key("auto", "where to compute", choices=DEVICES)


@dataclass
class PretrainBackboneConfig(Training, Problem):
    damage: Damage = field(default_factory=Damage)
    initial_weights: str | None = key(None, "start from this file instead of random weights", path="file")


@dataclass
class DashboardConfig:
    project: str = key("mcnet_lightning", "W&B project whose runs are compared")
    entity: str | None = key(None, "W&B user or team")
    name: str = key("MCNet", "name of the workspace")
    online: bool = key(False, "create the workspace at W&B, which needs `wandb login`; false: write the file alone")


@dataclass
class PretrainDenoiserConfig(Training, Command):
    problem: Any = None
    denoiser: Any = None
    noise_level: list[float] = key(
        [0.0125, 0.025], "range of the Gaussian noise's standard deviation, in units of 1", minimum=0.0
    )
    initial_weights: str | None = key(None, "start from this file instead of random weights", path="file")

    @staticmethod
    def check(cfg: DictConfig) -> None:
        levels = cfg.noise_level
        if not (len(levels) == 2 and levels[0] <= levels[1]):
            raise ConfigError(f"noise_level={shown_value(levels)}: give the two ends of a range, as in [0.0125,0.025]")


@dataclass
class ReportConfig:
    runs: Any = key(MISSING, "a folder that holds finished runs, at any depth, or a list of such folders")
    output: str = key("outputs/report", "folder for the tables, figures and index.html; older ones are replaced")
    seed: int = key(0, "seed of the bootstrap", minimum=0)
