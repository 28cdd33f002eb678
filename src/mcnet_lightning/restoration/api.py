"""Restoration from Python: NumPy arrays, PIL images and tensors in, the same kind out.

restorer = load_restorer("rcan", scale=4)
restored = restore_image(image, restorer)
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.backbones.tiling import Tiling
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import WeightsError
from mcnet_lightning.model.layer_files import load_layer
from mcnet_lightning.operators import BicubicDownsample, MeasurementOperator
from mcnet_lightning.restoration.agreement import agreement
from mcnet_lightning.restoration.batch import describe_stats
from mcnet_lightning.restoration.failures import describe_reached, raise_if_unmet
from mcnet_lightning.restoration.objects import ImageLike, joined, object_like, picture_from, white_of
from mcnet_lightning.restoration.restorer import Restorer
from mcnet_lightning.restoration.rounding import round_consistently, rounding_goal

AUTO = "auto"


def load_restorer(
    backbone: str = "srcnn",
    scale: int = 2,
    *,
    backbone_weights: str = "bundled",
    layer: str | Path = AUTO,
    operator: MeasurementOperator | None = None,
    epsilon: float | Epsilon | None = None,
    tiling: Tiling | None = None,
    device: torch.device | str = "cpu",
    dequantise: str = "none",
) -> Restorer:
    """Backbone, layer and operator, ready for many pictures.

    layer: "auto" (the bundled one, or none where none is bundled), "bundled", "none", or a path.
    operator: what made the LR; torch's and PIL's bicubic by default.
    epsilon: the l2 radius of each channel, or an `Epsilon` in another unit; None: 0, and for a JPEG that Pillow has
        just opened what its quantisation tables say.
    dequantise: "midpoint" for images whose values were rounded down: they are then agreed with half a level above.
    Raises ConfigError or WeightsError, in one sentence, for what does not exist or does not fit.
    """
    network = load_backbone(backbone, scale, backbone_weights)
    chosen = load_restoration_layer(layer, backbone, scale)
    operator = operator or BicubicDownsample(scale)
    return Restorer(network, chosen, operator, epsilon, tiling, device, dequantise, always_layer=layer != AUTO)


def load_restoration_layer(
    weights: str | Path, backbone: str, scale: int, classes: Sequence[type[nn.Module]] = ()
) -> EquilibriumLayer | None:
    """The layer for inference; None for "none", and for "auto" where none is bundled for this backbone and scale."""
    if weights == "none":
        return None
    try:
        return load_layer("bundled" if weights == AUTO else weights, backbone, scale, classes=classes).fold()
    except WeightsError:
        if weights == AUTO:
            return None
        raise


def restore_image(image: ImageLike, restorer: Restorer) -> ImageLike:
    """The consistent enlargement of an image, as the same kind of object.

    Args:
        image: NumPy (H, W) or (H, W, C) of uint8, uint16 or floats in [0, 1]; a PIL image of a mode whose range is
            known; or a tensor (C, H, W) of the same dtypes. C is 1 (gray), 2 (gray and alpha), 3 or 4.
        restorer: from `load_restorer`.

    Returns:
        The same kind with the same dtype, `scale` times as large; a PIL image upright, with its palette resolved and
        its transparency as alpha. Floats are not clipped; integers are rounded to the
        levels whose down-sampling is closest to the given image.

    Raises:
        DataError: if the object is no such image, or holds values outside [0, 1] or colours that are not known.
        WeightsError: if the backbone makes NaN or Inf of it.
        ConvergenceError: if the layer does.
        CertificateError: if no picture within epsilon of the measurement was found.
    """
    picture = picture_from(image)
    restored = restorer(picture)
    found = agreement(restored.picture, restored.target, restorer.operator)
    reached = describe_reached(found, restored.epsilon)
    about = {"file": "the result", "epsilon": restored.epsilon, "solver": describe_stats(restored.stats)}
    raise_if_unmet([{**about, "reached": reached}])
    samples, given, white = joined(restored.picture), joined(restored.target), white_of(picture)
    if white is not None:
        goal = rounding_goal(samples, given, restorer.operator, restored.epsilon, white)
        samples = round_consistently(samples, goal, restorer.operator, white)
    return object_like(image, samples, picture)
