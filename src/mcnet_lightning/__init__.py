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
        MeasurementBall,
        Outcome,
        PicardSolver,
        SolveStats,
        project_measurement_ball,
    )
    from mcnet_lightning.model.layer_files import load_layer
    from mcnet_lightning.model.mcnet import MCNet
    from mcnet_lightning.operators import (
        BicubicDownsample,
        BlurDownsample,
        DenseOperator,
        DiagonalGramOperator,
        Mask,
        MeasurementOperator,
        check_adjoint,
        dense_gram,
    )
    from mcnet_lightning.restoration import load_restorer, restore_image, restore_scan

__version__ = "0.1.0"

_HOMES = {
    "AndersonSolver": "equilibrium",
    "BicubicDownsample": "operators",
    "BlurDownsample": "operators",
    "DenseOperator": "operators",
    "DiagonalGramOperator": "operators",
    "DnCNN": "denoisers",
    "EquilibriumLayer": "equilibrium",
    "GMRES": "equilibrium",
    "MCNet": "model.mcnet",
    "Mask": "operators",
    "MeasurementBall": "equilibrium",
    "MeasurementOperator": "operators",
    "Outcome": "equilibrium",
    "PicardSolver": "equilibrium",
    "SolveStats": "equilibrium",
    "check_adjoint": "operators",
    "dense_gram": "operators",
    "load_backbone": "backbones",
    "load_layer": "model.layer_files",
    "load_restorer": "restoration",
    "project_measurement_ball": "equilibrium",
    "restore_image": "restoration",
    "restore_scan": "restoration",
}
__all__ = [
    "GMRES",
    "AndersonSolver",
    "BicubicDownsample",
    "BlurDownsample",
    "DenseOperator",
    "DiagonalGramOperator",
    "DnCNN",
    "EquilibriumLayer",
    "MCNet",
    "Mask",
    "MeasurementBall",
    "MeasurementOperator",
    "Outcome",
    "PicardSolver",
    "SolveStats",
    "check_adjoint",
    "dense_gram",
    "load_backbone",
    "load_layer",
    "load_restorer",
    "project_measurement_ball",
    "restore_image",
    "restore_scan",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
