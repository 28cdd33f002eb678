"""Solvers of the fixed point, of its adjoint equation and of the baselines; each names the class it configures."""

from dataclasses import dataclass

from mcnet_lightning.config.keys import key


@dataclass
class Anderson:
    _target_: str = "mcnet_lightning.equilibrium.AndersonSolver"
    tolerance: float = key(1e-5, "stop a sample at ||T(y) - y|| / ||T(y)|| below this", minimum=0.0, exclusive=True)
    max_evaluations: int = key(100, "evaluations of T after which a sample counts as not converged", minimum=1)
    history_size: int = key(10, "m, past residuals that are combined", minimum=1)
    mixing: float = key(1.4, "relaxation in (0, 2); above 1: over-relaxation", minimum=0.0, maximum=2.0, exclusive=True)
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
class Published:
    _target_: str = "mcnet_lightning.equilibrium.PublishedSolver"
    tolerance: float = key(
        1e-5, "stop at a relative residual of the pair (x, lambda) below this", minimum=0.0, exclusive=True
    )
    max_evaluations: int = key(200, "evaluations of T after which a sample counts as not converged", minimum=3)


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
        "published DnCNN",
        path="file",
        words=("bundled", "official"),
    )
    tolerance: float = key(2e-3, "stop a sample at ||T(y) - y|| / ||T(y)|| below this", minimum=0.0, exclusive=True)
    max_iterations: int = key(100, "evaluations of the denoiser at most", minimum=1)
    mixing: float = key(1.0, "relaxation in (0, 1]", minimum=0.0, maximum=1.0, exclusive_minimum=True)
    half_iterations: bool | None = key(
        None, "bfloat16 convolutions for the first iterations; null: where that is faster"
    )
