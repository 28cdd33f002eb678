"""MCNet (Mourya & Mota, ICASSP 2023): a frozen backbone, and on top of it the equilibrium layer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mcnet_lightning.backbones import FrozenBackbone
from mcnet_lightning.equilibrium import EquilibriumLayer, SolveStats
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import ConfigError, ConvergenceError
from mcnet_lightning.operators import BicubicDownsample, MeasurementOperator, upsample_bicubic


@dataclass(frozen=True)
class MCNetResult:
    """estimate x and prior_image w, (B, C, H, W); stats per sample; state, for a warm start."""

    estimate: Tensor
    prior_image: Tensor
    stats: SolveStats
    state: Tensor


class MCNet(nn.Module):
    """b -> w = backbone(b) -> the image near w, with ||b - A x||_2 <= epsilon, that the layer's denoiser keeps."""

    def __init__(
        self, backbone: FrozenBackbone | None, layer: EquilibriumLayer, operator: MeasurementOperator | None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.layer = layer
        self.operator = operator

    def forward(
        self,
        measurement: Tensor,
        epsilon: float | Tensor | Epsilon = 0.0,
        backbone_input: Tensor | None = None,
        prior_image: Tensor | None = None,
        initial_state: Tensor | None = None,
        operator: MeasurementOperator | None = None,
    ) -> MCNetResult:
        """Restores a measurement.

        Args:
            measurement: b, (B, ...), such as Y in [0, 1], (B, 1, h, w).
            epsilon: l2 radius per image, one number or (B,); or an `Epsilon` in another unit.
            backbone_input: what the backbone eats if that is not made from b alone: RGB LR (B, 3, h, w), or the
                enlarged Y (B, 1, H, W) of a protocol. By default b is enlarged bicubically.
            prior_image: w, (B, C, H, W), to skip the backbone.
            initial_state: where the iteration starts; w by default.
            operator: A of these samples, where it is not the same for all; the model's own by default.

        Raises:
            ConfigError: if no prior image can be made from what was given.
            WeightsError: if the backbone's output is not finite.
            ConvergenceError: if the layer's is not. Whatever else became of a solve is in `stats`.
        """
        operator = operator or self.operator
        if operator is None:
            raise ConfigError("this MCNet has no operator; give operator=A")
        if isinstance(epsilon, Epsilon):
            epsilon = epsilon.radii(measurement, operator)
        if prior_image is None:
            prior_image = self._prior_image(measurement, backbone_input)
        result = self.layer(prior_image, measurement, operator, epsilon, initial_state)
        result.stats.raise_if_not_finite()
        if not bool(torch.isfinite(result.estimate).all()):
            raise ConvergenceError("the layer's output holds NaN or Inf; check the measurement and the layer's weights")
        return MCNetResult(result.estimate, prior_image, result.stats, result.state)

    @torch.no_grad()
    def _prior_image(self, measurement: Tensor, backbone_input: Tensor | None) -> Tensor:
        if self.backbone is None:
            raise ConfigError("this MCNet has no backbone; give prior_image=w")
        if backbone_input is None and self.backbone.spec.input_kind == "measurement":
            backbone_input = measurement
        if backbone_input is None:
            if self.backbone.spec.input_kind != "upsampled" or not isinstance(self.operator, BicubicDownsample):
                raise ConfigError(f"{self.backbone.spec.name} cannot be fed from b alone; give backbone_input")
            backbone_input = upsample_bicubic(measurement, self.operator.scale, self.operator.boundary)
        return self.backbone(backbone_input)
