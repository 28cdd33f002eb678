"""A colour picture that agrees with its measurement in every channel.

The backbone makes the prior image and the equilibrium layer works on its Y, as it was trained. The layer's change of Y
is then added to all three channels alike, which leaves chroma as it was, and every channel is projected exactly onto
{ x : ||b_c - A x||_2 <= epsilon }. For epsilon = 0 this last step keeps Y as the layer left it: A Y is b's Y already,
and the projection is linear. A backbone of Y alone (SRCNN) takes its chroma from bicubic interpolation.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from mcnet_lightning.backbones import FrozenBackbone
from mcnet_lightning.backbones.tiling import Tiling, tiled_picture
from mcnet_lightning.equilibrium import EquilibriumLayer, SolveStats, project_measurement_ball
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import ConfigError, ConvergenceError, DataError
from mcnet_lightning.imaging.colour import LUMA_GAIN, LUMA_OFFSET, rgb_to_luma
from mcnet_lightning.imaging.picture import MAX_SIDE, Picture, profile_for
from mcnet_lightning.model.layer_files import load_denoiser
from mcnet_lightning.operators import KernelDownsample, MeasurementOperator, upsample_bicubic
from mcnet_lightning.restoration.noise import is_noisy, robust_luma
from mcnet_lightning.restoration.target import (
    check_dequantise,
    luma_radius_of,
    network_noise,
    radius_of,
    stated_target,
)


@dataclass(frozen=True)
class Restored:
    """The consistent picture, what the backbone alone had made (not consistent), and the stats of the layer if any.

    target: b, what it has to agree with. epsilon: the l2 radius of each channel. denoised: whether the backbone saw b
    without its noise, see `noise`.
    """

    picture: Picture
    prior: Picture
    target: Picture
    epsilon: float
    stats: SolveStats | None = None
    denoised: bool = False


class Restorer:
    """Frozen backbone, layer (or None: the exact projection alone) and operator, for one picture after another."""

    def __init__(
        self,
        backbone: FrozenBackbone,
        layer: EquilibriumLayer | None,
        operator: MeasurementOperator,
        epsilon: float | Epsilon | None = None,
        tiling: Tiling | None = None,
        device: torch.device | str = "cpu",
        dequantise: str = "none",
        always_layer: bool = False,
        start: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """always_layer: also for noisy measurements, for which the bundled layers were not trained. start: of problems
        beside super-resolution, from b (B, 1, h, w) to what their networks see, channel by channel.
        """
        scale = getattr(operator, "scale", 1)
        if scale != backbone.spec.scale:
            raise ConfigError(
                f"{operator.name} shrinks by {scale}, but the backbone enlarges by {backbone.spec.scale}; "
                "give both the same scale, or take mode=fix for pictures that exist already"
            )
        if backbone.spec.input_kind == "picture":
            raise ConfigError("pictures made earlier need no backbone; give them to mode=fix as sr=FOLDER")
        kind = backbone.spec.input_kind
        if kind == "observation" or (kind == "start") != (start is not None):
            raise ConfigError(
                f"{backbone.spec.name} takes {kind!r}, which this problem does not have; choose "
                + (
                    "another backbone"
                    if start is None
                    else "backbone=start or backbone=unet with backbone.weights=PATH"
                )
            )
        self.start = start
        self.device = torch.device(device)
        self.backbone = backbone.to(self.device)
        self.layer = None if layer is None else layer.to(self.device).eval()
        self.operator, self.tiling = operator, tiling or Tiling()
        self.epsilon = None if epsilon is None else Epsilon.of(epsilon)
        check_dequantise(dequantise)
        self.dequantise, self.always_layer = dequantise, always_layer
        self.on_tile: Callable[[int, int], None] | None = None  # called before each tile of the backbone
        self.on_evaluation: Callable[[int], None] | None = None  # called with the number of the layer's evaluation

    @torch.no_grad()
    def __call__(self, measurement: Picture) -> Restored:
        """Restores a picture of size (h, w) to (s h, s w); the network sees the measurement as it is.

        Raises DataError if the result would be too large, WeightsError if the backbone makes NaN of it,
        ConvergenceError if the layer does.
        """
        height, width = self.operator.image_size(measurement.size)
        if max(height, width) > MAX_SIDE:
            raise DataError(f"the result would have {width} x {height} pixels; no side can be above {MAX_SIDE}")
        target = stated_target(measurement, self.dequantise)
        if self.start is not None and measurement.alpha is not None:
            raise DataError("the picture has transparency, which this problem does not measure; save it without")
        noise = 0.0 if self.start is not None else network_noise(self.epsilon, measurement)
        prior = self._prior(measurement, noise)
        if self.layer is None or (is_noisy(noise) and not self.always_layer):
            estimate, stats = prior, None
        else:
            y, numbers, told = luma(prior), itertools.count(1), self.on_evaluation
            self.layer.watch = None if told is None else lambda: told(next(numbers))
            result = self.layer(
                y[None].to(self.device, torch.float32),
                luma(target.colour)[None].to(self.device, torch.float32),
                self.operator,
                luma_radius_of(self.epsilon, measurement, self.operator),
            )
            result.stats.raise_if_not_finite()
            estimate, stats = with_luma(prior, result.estimate[0].cpu().double()), result.stats
        alpha = None if measurement.alpha is None else enlarged(measurement.alpha, self.operator)
        prior_picture = replace(measurement, colour=prior, alpha=alpha)
        radius = radius_of(self.epsilon, measurement, self.operator)
        picture = make_consistent(replace(prior_picture, colour=estimate), target, self.operator, radius)
        return Restored(picture, prior_picture, target, radius, stats, self.denoises(noise))

    def _prior(self, measurement: Picture, noise: float) -> Tensor:
        """The picture that the backbone makes or, of a noisy measurement, what becomes of its Y."""
        lr = measurement.colour
        if self.start is not None:
            check_pair(measurement, measurement, self.operator)  # b is as large as the picture
            given = self.start(lr[:, None]).to(self.device, torch.float32)
            return self.backbone.picture(given)[:, 0].cpu().double()
        if not self.denoises(noise):
            return self._made(lr)
        plain = enlarged(lr, self.operator)
        made = robust_luma(luma(lr), noise, lambda y: luma(self._made(with_luma(lr, y))), self._denoiser, luma(plain))
        return with_luma(plain, made)

    def denoises(self, noise: float) -> bool:
        """Whether the backbone sees a measurement of such noise denoised: unless it was trained on it."""
        return is_noisy(noise) and not self.backbone.spec.robust and self.backbone.spec.name != "bicubic"

    @cached_property
    def _denoiser(self) -> nn.Module:
        return load_denoiser("bundled").to(self.device).eval()

    def _made(self, lr: Tensor) -> Tensor:
        """The backbone's picture (C, H, W) of colours (C, h, w), float64."""
        kind = self.backbone.spec.input_kind
        if kind == "lr_rgb":
            given = lr.expand(3, -1, -1)
        else:
            given = luma(lr) if kind == "measurement" else enlarged(luma(lr), self.operator)
        given = given[None].to(self.device, torch.float32)
        made = tiled_picture(self.backbone, given, self.tiling, self.on_tile)[0].double()
        if len(made) == len(lr) == 3:
            return made
        return with_luma(enlarged(lr, self.operator), luma(made) if len(made) == 3 else made)


def make_consistent(picture: Picture, measurement: Picture, operator: MeasurementOperator, epsilon: float) -> Picture:
    """The nearest picture with ||A x_c - b_c||_2 <= epsilon in every channel c, alpha included; float64.

    Raises DataError if the sizes do not belong together, ConvergenceError if the result is not finite.
    """
    check_pair(picture, measurement, operator)
    channels = max(len(picture.colour), len(measurement.colour))
    colour = _project(picture.colour.expand(channels, -1, -1), measurement.colour, operator, epsilon)
    alpha = picture.alpha
    if measurement.alpha is not None:
        start = enlarged(measurement.alpha, operator) if alpha is None else alpha
        alpha = _project(start, measurement.alpha, operator, epsilon)
    if not bool(torch.isfinite(colour).all()):
        raise ConvergenceError("the projected picture holds NaN or Inf; check the picture and the operator")
    # its values now agree with the measurement's, so they look as the measurement says, if it says anything
    icc = profile_for(channels, measurement.icc, picture.icc)
    said = measurement.png_colour or picture.png_colour
    return replace(picture, colour=colour, alpha=alpha, icc=icc, png_colour=said)


def check_pair(picture: Picture, measurement: Picture, operator: MeasurementOperator) -> None:
    """Raises DataError unless A maps pictures of this size to measurements of that size."""
    try:
        expected = operator.measurement_size(picture.size)
    except ConfigError as error:
        raise DataError(str(error)) from None
    if expected != measurement.size:
        (height, width), (h, w) = picture.size, measurement.size
        raise DataError(
            f"{operator.name} maps {width} x {height} pixels to {expected[1]} x {expected[0]}, but the measurement has "
            f"{w} x {h}; check the pair, the scale and the operator"
        )


def _project(image: Tensor, measurement: Tensor, operator: MeasurementOperator, epsilon: float) -> Tensor:
    """Channel by channel, so that memory is that of one; (C, H, W) with (C or 1, h, w)."""
    targets = measurement.expand(len(image), -1, -1)
    projected = torch.empty_like(image, memory_format=torch.contiguous_format)
    for channel, target, made in zip(image, targets, projected, strict=True):
        made.copy_(project_measurement_ball(channel[None, None], target[None, None], operator, epsilon)[0, 0])
    return projected


def enlarged(image: Tensor, operator: MeasurementOperator) -> Tensor:
    """Bicubic interpolation of (C, h, w) to the size of A's images."""
    scale = getattr(operator, "scale", 1)
    boundary = operator.boundary if isinstance(operator, KernelDownsample) else "symmetric"
    return upsample_bicubic(image, scale, boundary)


def luma(colour: Tensor) -> Tensor:
    """Y of gray or RGB, (C, H, W) -> (1, H, W); gray counts as three equal channels."""
    return rgb_to_luma(colour) if len(colour) == 3 else LUMA_GAIN * colour + LUMA_OFFSET


def with_luma(colour: Tensor, y: Tensor) -> Tensor:
    """The image with that Y and the same differences between its channels."""
    return colour + (y - luma(colour)) / LUMA_GAIN
