"""The fixed point: the exact projection, the map T, the solver, and the gradient through it."""

from mcnet_lightning.equilibrium.denoiser import Denoiser
from mcnet_lightning.equilibrium.fixed_point import AndersonSolver, PicardSolver
from mcnet_lightning.equilibrium.implicit import (
    GMRES,
    AdjointAnderson,
    JacobianFree,
    Neumann,
    Unrolled,
    implicit_fixed_point,
)
from mcnet_lightning.equilibrium.jacobian import LocalJacobian, local_jacobian
from mcnet_lightning.equilibrium.layer import EquilibriumLayer, LayerResult
from mcnet_lightning.equilibrium.linearisation import Linearisation
from mcnet_lightning.equilibrium.parts import SelectableMap
from mcnet_lightning.equilibrium.projection import MeasurementBall, project_measurement_ball
from mcnet_lightning.equilibrium.published import PublishedSolver
from mcnet_lightning.equilibrium.splitting import DouglasRachfordMap
from mcnet_lightning.equilibrium.stats import Outcome, Reached, SolveStats

__all__ = [
    "GMRES",
    "AdjointAnderson",
    "AndersonSolver",
    "Denoiser",
    "DouglasRachfordMap",
    "EquilibriumLayer",
    "JacobianFree",
    "LayerResult",
    "Linearisation",
    "LocalJacobian",
    "MeasurementBall",
    "Neumann",
    "Outcome",
    "PicardSolver",
    "PublishedSolver",
    "Reached",
    "SelectableMap",
    "SolveStats",
    "Unrolled",
    "implicit_fixed_point",
    "local_jacobian",
    "project_measurement_ball",
]
