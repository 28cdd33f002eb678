"""Restoration from Python: NumPy arrays, PIL images and tensors in, the same kind out.

restorer = load_restorer("rcan", scale=4)
restored = restore_image(image, restorer)
restored = restore_scan(kspace, mask, maps, epsilon=Epsilon(sigma, "noise"), layer="bundled:paper_x2")
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mcnet_lightning.backbones import FrozenBackbone, load_backbone
from mcnet_lightning.backbones.tiling import Tiling
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import DataError, WeightsError
from mcnet_lightning.files.arrays import complex_of
from mcnet_lightning.model.layer_files import load_layer
from mcnet_lightning.operators import BicubicDownsample, MeasurementOperator
from mcnet_lightning.operators.fourier import as_channels
from mcnet_lightning.restoration.agreement import agreement
from mcnet_lightning.restoration.batch import describe_stats
from mcnet_lightning.restoration.failures import describe_reached, raise_if_unmet
from mcnet_lightning.restoration.kspace import kspace_of
from mcnet_lightning.restoration.objects import ImageLike, joined, object_like, picture_from, white_of
from mcnet_lightning.restoration.restorer import Restorer
from mcnet_lightning.restoration.rounding import round_within
from mcnet_lightning.restoration.scans import (
    ScanRestorer,
    agreeing,
    describe_solve,
    kspace_epsilon,
    meets,
    refuse_foreign,
)

AUTO = "auto"
MRI = "mri"
ArrayLike = TypeVar("ArrayLike", np.ndarray, Tensor)


def load_restorer(
    backbone: str = "srcnn",
    scale: int = 2,
    *,
    backbone_weights: str | Path = "bundled",
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
    weights: str | Path, backbone: str, scale: int | str, classes: Sequence[type[nn.Module]] = ()
) -> EquilibriumLayer | None:
    """The layer for inference; None for "none", and for "auto" where none is bundled for this backbone and scale (or
    problem).
    """
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
        samples = round_within(samples, given, restorer.operator, restored.epsilon, white)
    return object_like(image, samples, picture)


def restore_scan(
    kspace: ArrayLike,
    mask: np.ndarray | Tensor | None = None,
    maps: np.ndarray | Tensor | None = None,
    *,
    image: np.ndarray | Tensor | None = None,
    backbone: str | FrozenBackbone = "start",
    backbone_weights: str | Path | None = None,
    layer: str | Path | EquilibriumLayer | None = "none",
    epsilon: float | Epsilon = 0.0,
    zero_frequency: str = "auto",
    image_origin: str = "auto",
    device: torch.device | str = "cpu",
) -> ArrayLike:
    """The complex image of one slice of k-space, with ||A x - b||_2 <= epsilon, A an orthonormal Fourier transform.

    restored = restore_scan(kspace, backbone="unet", backbone_weights="unet.safetensors")
    restored = restore_scan(kspace, mask, maps, epsilon=Epsilon(sigma, "noise"))   # of coils with noise
    restored = restore_scan(kspace, image=reconstruction)                          # anyone's, made consistent

    Args:
        kspace: b, NumPy or tensor: complex (H, W), or (coils, H, W) with `maps`; or real with real and imaginary part
            along a last or first axis of 2. Any units: the image comes in the same.
        mask: (H, W), or (W,) of whole columns, ones where it was measured; None: wherever k-space is not zero.
        maps: coil sensitivities, complex (coils, H, W); the sum of their |S_c|^2 should be 1.
        image: a complex reconstruction (H, W) by any method; the nearest consistent image to it is returned then, and
            backbone and layer are not asked.
        backbone: what makes the first image: "start" (zero-filled), "unet", "istanet", ..., or one that is loaded
            already; it sees the zero-filled image with its peak at 1.
        backbone_weights: path of its weights.
        layer: the equilibrium layer: "none" (the exact projection alone), "bundled:NAME" such as bundled:paper_x2,
            a path, or a layer that is loaded already.
        epsilon: l2 radius in the units of k-space, or an `Epsilon`: Epsilon(sigma, "noise") for a standard deviation of
            sigma of real and imaginary part.
        zero_frequency: "middle" (H // 2, W // 2), "corner" as numpy.fft.fft2 leaves it, "auto": where the energy is.
        image_origin: the pixel that was the transform's origin: "middle", "corner", "auto".
        device: where backbone and layer compute.

    Returns:
        The image (H, W), complex, in the units of k-space, as the same kind of object; complex128 where k-space was of
        double precision, else complex64.

    Raises:
        DataError: if k-space, mask, maps or image do not belong together, or hold NaN, Inf or no numbers.
        ConfigError: if there are several coils and no maps, or the backbone is not for complex images.
        WeightsError: if there are no such weights, or the backbone makes NaN or Inf.
        ConvergenceError: if the layer does.
        CertificateError: if no image within epsilon of k-space was found; it names the smallest epsilon.
    """
    values = _array(kspace)
    others = (None if given is None else _array(given) for given in (mask, maps))
    scan = kspace_of(values, *others, zero_frequency=zero_frequency, image_origin=image_origin)
    if image is not None:
        start = torch.from_numpy(np.ascontiguousarray(complex_of(_array(image), "the image")))
        if start.ndim != 2:
            raise DataError(f"the image has shape {tuple(start.shape)}; give one of (H, W)")
        refuse_foreign(as_channels(start[None]), scan)
        restored = agreeing(as_channels(start[None]), scan, kspace_epsilon(epsilon))
    else:
        network = backbone if isinstance(backbone, FrozenBackbone) else load_backbone(backbone, MRI, backbone_weights)
        chosen = layer
        if not isinstance(layer, EquilibriumLayer) and layer is not None:
            chosen = load_restoration_layer(layer, network.spec.name, MRI)
        assert not isinstance(chosen, str | Path)
        restored = ScanRestorer(network, chosen, epsilon, device)(scan)
    distance = float(restored.reached.distance[0])
    reached = {"consistency": distance, "epsilon_met": meets(distance, restored.epsilon, scan)}
    solver = describe_solve(restored)
    raise_if_unmet([{"file": "the result", "epsilon": restored.epsilon, "solver": solver, "reached": reached}])
    made = torch.complex(*restored.image[0])
    if values.dtype not in (np.complex128, np.float64):
        made = made.to(torch.complex64)
    return made.to(kspace.device) if isinstance(kspace, Tensor) else made.numpy()


def _array(values: np.ndarray | Tensor) -> np.ndarray:
    return values.detach().cpu().resolve_conj().numpy() if isinstance(values, Tensor) else np.asarray(values)
