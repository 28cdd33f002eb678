"""mcnet_lightning: measurement-consistent networks by a deep-equilibrium layer.

Names load on first use, so that `--help` and configuration errors do not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcnet_lightning.backbones import load_backbone
    from mcnet_lightning.denoisers import DnCNN
    from mcnet_lightning.equilibrium import (
        GMRES,
        AndersonSolver,
        EquilibriumLayer,
        PicardSolver,
        SolveStats,
        project_measurement_ball,
    )
    from mcnet_lightning.layer_weights import load_layer
    from mcnet_lightning.mcnet import MCNet
    from mcnet_lightning.operators import BicubicDownsample, BlurDownsample, Mask, MeasurementOperator
    from mcnet_lightning.restoration import load_restorer, restore_image

__version__ = "0.1.0"

_HOMES = {
    "AndersonSolver": "equilibrium",
    "BicubicDownsample": "operators",
    "BlurDownsample": "operators",
    "DnCNN": "denoisers",
    "EquilibriumLayer": "equilibrium",
    "GMRES": "equilibrium",
    "MCNet": "mcnet",
    "Mask": "operators",
    "MeasurementOperator": "operators",
    "PicardSolver": "equilibrium",
    "SolveStats": "equilibrium",
    "load_backbone": "backbones",
    "load_layer": "layer_weights",
    "load_restorer": "restoration",
    "project_measurement_ball": "equilibrium",
    "restore_image": "restoration",
}
__all__ = [
    "GMRES",
    "AndersonSolver",
    "BicubicDownsample",
    "BlurDownsample",
    "DnCNN",
    "EquilibriumLayer",
    "MCNet",
    "Mask",
    "MeasurementOperator",
    "PicardSolver",
    "SolveStats",
    "load_backbone",
    "load_layer",
    "load_restorer",
    "project_measurement_ball",
    "restore_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
