"""The problem and the methods of a configuration."""

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mcnet_lightning.build.components import make, require
from mcnet_lightning.build.objects import build_operator
from mcnet_lightning.config.commands import EPSILON, NOISE
from mcnet_lightning.config.components import find
from mcnet_lightning.config.composition import conf_dir
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.methods import Method
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.problems import Problem
from mcnet_lightning.problems.perturbation import Perturbation


def build_problem(config: DictConfig) -> Problem:
    """The problem of the group `problem`; what it is given of the command's own keys it names in `given`.

    Settles in the configuration what the problem answers, so that the records of a run say what acted.
    """
    kind = find(config.problem._target_)
    asked = getattr(kind, "given", ())
    if "scale" in asked and "scale" not in config:  # of a denoiser, which sees HR alone
        of_hr: Problem = kind(scale=1, quantise=False)
        return of_hr
    given = {name: answer(config) for name, answer in GIVEN.items() if name in asked}
    problem: Problem = require("problem", config.problem, make("problem", config.problem, **given), Problem)
    if problem.scale is None and "scale" in config:
        config.scale = None
    if "epsilon" in config and all(config[key] is None for key in EPSILON):
        config.epsilon = NOISE if problem.noisy else 0.0
    backbone = config.get("backbone")
    if backbone is not None and "channels" in backbone and backbone.channels is None:
        backbone.channels = problem.channels
    return problem


def build_methods(config: DictConfig, problem: Problem) -> list[Method]:
    """The rows of the ladder, in the order of `method=[...]`, or else those of the problem."""
    chosen = config.method or {name: _method(name, config) for name in problem.ladder}
    return [_made(str(name), settings) for name, settings in chosen.items()]


def _made(name: str, settings: DictConfig) -> Method:
    """Its rows are called as the configuration calls it: a class may have several, with other settings."""
    made: Method = require("method", settings, make("method", settings), Method)
    if made.name != name:
        object.__setattr__(made, "name", name)  # also of a frozen dataclass
    return made


def _method(name: str, config: DictConfig) -> Any:
    """What conf/method says of it, within the configuration that it refers to."""
    whole = OmegaConf.merge(config, {"method": {name: OmegaConf.load(conf_dir() / "method" / f"{name}.yaml")}})
    return whole.method[name]


def build_epsilon(config: DictConfig) -> Epsilon:
    """Of the keys epsilon, epsilon_rms and epsilon_levels, 0 where none of them is given."""
    if config.epsilon_levels is not None:
        return Epsilon(config.epsilon_levels, "levels")
    if config.epsilon_rms is not None:
        return Epsilon(config.epsilon_rms, "rms")
    return Epsilon(0.0, "noise") if config.epsilon == NOISE else Epsilon(float(config.epsilon or 0))


def _operator(config: DictConfig) -> MeasurementOperator | None:
    """None where the protocol is to choose the boundary."""
    unsaid = "boundary" in config.operator and config.operator.boundary is None
    return None if unsaid else build_operator(config.operator, config.scale)


def _perturbation(config: DictConfig) -> Perturbation:
    perturbation = Perturbation(**config.get("perturbation", {}))
    if perturbation.label and config.data.lr is not None:
        raise ConfigError(
            f"data.lr={config.data.lr} holds LR that was measured, and perturbation.* perturbs LR that is made "
            "from HR; leave one of them out"
        )
    return perturbation


GIVEN: dict[str, Callable[[DictConfig], Any]] = {
    "scale": lambda config: config.scale,
    "seed": lambda config: config.seed,
    "protocol": lambda config: config.protocol.name,
    "quantise": lambda config: config.protocol.quantise,
    "dequantise": lambda config: config.protocol.dequantise,
    "operator": _operator,
    "perturbation": _perturbation,
}
