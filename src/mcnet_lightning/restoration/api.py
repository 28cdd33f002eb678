"""Restoration from Python: NumPy arrays, PIL images and tensors in, the same kind out.

restorer = load_restorer("rcan", scale=4)
restored = restore_image(image, restorer)
"""

from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.backbones.tiling import Tiling
from mcnet_lightning.epsilon import Epsilon
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.errors import DataError, WeightsError
from mcnet_lightning.layer_weights import load_layer
from mcnet_lightning.operators import BicubicDownsample, MeasurementOperator
from mcnet_lightning.restoration.agreement import agreement
from mcnet_lightning.restoration.batch import describe_stats
from mcnet_lightning.restoration.failures import describe_reached, raise_if_unmet
from mcnet_lightning.restoration.pictures import Picture
from mcnet_lightning.restoration.restorer import Restorer
from mcnet_lightning.restoration.rounding import round_consistently, rounding_goal

AUTO = "auto"
ImageLike = TypeVar("ImageLike", np.ndarray, Image.Image, Tensor)
PEAKS = {"uint8": 255, "uint16": 65535}


def load_restorer(
    backbone: str = "srcnn",
    scale: int = 2,
    *,
    backbone_weights: str = "bundled",
    layer: str | Path = AUTO,
    operator: MeasurementOperator | None = None,
    epsilon: float | Epsilon = 0.0,
    tiling: Tiling | None = None,
    device: torch.device | str = "cpu",
    dequantise: str = "none",
) -> Restorer:
    """Backbone, layer and operator, ready for many pictures.

    layer: "auto" (the bundled one, or none where none is bundled), "bundled", "none", or a path.
    operator: what made the LR; torch's and PIL's bicubic by default.
    epsilon: the l2 radius of each channel, or an `Epsilon` in another unit.
    dequantise: "midpoint" for images whose values were rounded down: they are then agreed with half a level above.
    Raises ConfigError or WeightsError, in one sentence, for what does not exist or does not fit.
    """
    network = load_backbone(backbone, scale, backbone_weights)
    chosen = load_restoration_layer(layer, backbone, scale)
    return Restorer(network, chosen, operator or BicubicDownsample(scale), epsilon, tiling, device, dequantise)


def load_restoration_layer(weights: str | Path, backbone: str, scale: int) -> EquilibriumLayer | None:
    """The layer for inference; None for "none", and for "auto" where none is bundled for this backbone and scale."""
    if weights == "none":
        return None
    try:
        return load_layer("bundled" if weights == AUTO else weights, backbone, scale).fold()
    except WeightsError:
        if weights == AUTO:
            return None
        raise


def restore_image(image: ImageLike, restorer: Restorer) -> ImageLike:
    """The consistent enlargement of an image, as the same kind of object.

    Args:
        image: NumPy (H, W) or (H, W, C) of uint8, uint16 or floats in [0, 1]; a PIL image; or a tensor (C, H, W) of
            uint8 or floats in [0, 1]. C is 1 (gray), 2 (gray and alpha), 3 or 4.
        restorer: from `load_restorer`.

    Returns:
        The same kind with the same dtype, `scale` times as large. Floats are not clipped; integers are rounded to the
        levels whose down-sampling is closest to the given image.

    Raises:
        DataError: if the object is no such image.
        WeightsError: if the backbone makes NaN or Inf of it.
        ConvergenceError: if the layer does.
        CertificateError: if no picture within epsilon of the measurement was found.
    """
    picture, peak = _picture_of(image)
    restored = restorer(picture)
    found = agreement(restored.picture, restored.target, restorer.operator)
    reached = describe_reached(found, restored.epsilon)
    about = {"file": "the result", "epsilon": restored.epsilon, "solver": describe_stats(restored.stats)}
    raise_if_unmet([{**about, "reached": reached}])
    samples, given = _joined(restored.picture), _joined(restored.target)
    if peak is not None:
        goal = rounding_goal(samples, given, restorer.operator, restored.epsilon, peak)
        samples = round_consistently(samples, goal, restorer.operator, peak)
    if isinstance(image, Tensor):
        return samples.to(image.device, image.dtype)
    array = samples.permute(1, 2, 0).numpy()
    if isinstance(image, Image.Image):
        array = array.astype(np.uint8)
        return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else np.ascontiguousarray(array))
    array = array[..., 0] if image.ndim == 2 else array
    return array.astype(image.dtype)


def _picture_of(image: np.ndarray | Image.Image | Tensor) -> tuple[Picture, int | None]:
    """The picture and its largest level; None for floats."""
    if isinstance(image, Tensor):
        samples, kind = image.detach().cpu(), str(image.dtype).removeprefix("torch.")
    else:
        if isinstance(image, Image.Image):
            image = np.asarray(image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGB"))
        kind = str(image.dtype)
        layers = image[..., None] if image.ndim == 2 else image
        samples = torch.from_numpy(np.ascontiguousarray(np.moveaxis(layers, -1, 0)).astype(np.float64))
    peak = PEAKS.get(kind)
    if samples.ndim != 3 or not 1 <= len(samples) <= 4 or (peak is None and not kind.startswith(("float", "bfloat"))):
        raise DataError(
            f"no image: {kind} of shape {tuple(image.shape)}; give uint8, uint16 or floats in [0, 1], 1 to 4 channels"
        )
    values = samples.double() / (peak or 1)
    if not bool(torch.isfinite(values).all()):
        raise DataError("the image holds NaN or Inf; repair it first")
    colours = len(values) - (len(values) % 2 == 0)
    depth = 32 if peak is None else peak.bit_length()
    return Picture(values[:colours], values[colours:] if len(values) > colours else None, depth), peak


def _joined(picture: Picture) -> Tensor:
    return picture.colour if picture.alpha is None else torch.cat([picture.colour, picture.alpha])
