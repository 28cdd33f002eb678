"""Solvers of the baselines."""

from dataclasses import dataclass

from mcnet_lightning.config.keys import key


@dataclass
class TV:
    tolerance: float = key(1e-3, "stop at this optimality gap, relative to the objective", minimum=0.0, exclusive=True)
    max_steps: int = key(3000, "primal-dual steps at most", minimum=1)


@dataclass
class TVTV(TV):
    prior_weight: float = key(1.0, "weight of ||D (x - w)||_1 against ||D x||_1", minimum=0.0)


@dataclass
class Wavelet(TV):
    levels: int = key(3, "levels of the undecimated Haar transform", minimum=1)


@dataclass
class PnP:
    weights: str = key(
        "bundled",
        "the denoiser of pnp: bundled (ours, 17 layers), bundled:NAME, official (KAIR's), or a path: ours, or a "
        "published DnCNN or FFDNet",
        path="file",
        words=("bundled", "official"),
    )
    tolerance: float = key(2e-3, "stop a sample at ||T(y) - y|| / ||T(y)|| below this", minimum=0.0, exclusive=True)
    max_iterations: int = key(100, "evaluations of the denoiser at most", minimum=1)
    mixing: float = key(1.0, "relaxation in (0, 1]", minimum=0.0, maximum=1.0, exclusive_minimum=True)
    noise_level: float = key(0.06, "of the noise that FFDNet takes away, in units of 1", minimum=0.0, maximum=1.0)
    half_iterations: bool | None = key(
        None, "bfloat16 convolutions for the first iterations; null: where that is faster"
    )
