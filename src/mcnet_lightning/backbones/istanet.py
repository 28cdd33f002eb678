"""ISTA-Net+ (Zhang & Ghanem, CVPR 2018): nine steps of proximal gradient, their thresholding learned."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcnet_lightning.errors import ConfigError, WeightsError
from mcnet_lightning.operators import MeasurementOperator

FEATURES = 32


class Observed(Protocol):
    """What it needs of an observation."""

    @property
    def measurement(self) -> Tensor: ...
    @property
    def operator(self) -> MeasurementOperator: ...
    @property
    def truth(self) -> Tensor: ...


class ISTANetPlus(nn.Module):
    """An observation to an image, starting at A^T b; real images, or complex ones of as many `channels` as it is for.

    A network of one channel takes real and imaginary part of a complex image as two images, each in its own turn.

    phases: steps of proximal gradient
    channels: of the images that it takes at once
    """

    name = "istanet"
    label = "ISTA-Net+"
    input_kind = "observation"
    citation = "Zhang & Ghanem, CVPR 2018"

    def __init__(self, phases: int = 9, channels: int = 1) -> None:
        super().__init__()
        if min(phases, channels) < 1:
            raise ConfigError(f"ISTA-Net+ of phases={phases} and channels={channels} is none; give numbers >= 1")
        self.fcs = nn.ModuleList(Phase(channels) for _ in range(phases))

    def forward(self, observation: Observed) -> Tensor:
        operator, b = observation.operator, observation.measurement
        size = (observation.truth.shape[-2], observation.truth.shape[-1])
        image = operator.adjoint(b, size)
        for phase in self.fcs:
            gradient = operator.adjoint(operator(image) - b, size)
            image = phase(image, gradient)
        return image

    @staticmethod
    def hyperparameters(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """What a file's tensors say of the network."""
        first = tensors.get("fcs.0.conv_D")
        if first is None or first.ndim != 4:
            raise WeightsError("it has no fcs.0.conv_D as ISTA-Net+ has")
        phases = len({name.split(".")[1] for name in tensors if name.startswith("fcs.")})
        return {"phases": phases, "channels": first.shape[1]}


class Phase(nn.Module):
    """r + G H~(soft(H(D r), threshold)), r a step against the gradient; names as in the published files."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lambda_step = nn.Parameter(torch.tensor([0.5]))
        self.soft_thr = nn.Parameter(torch.tensor([0.01]))
        self.conv_D = _filters(FEATURES, channels)
        self.conv1_forward = _filters(FEATURES, FEATURES)
        self.conv2_forward = _filters(FEATURES, FEATURES)
        self.conv1_backward = _filters(FEATURES, FEATURES)
        self.conv2_backward = _filters(FEATURES, FEATURES)
        self.conv_G = _filters(channels, FEATURES)

    def forward(self, image: Tensor, gradient: Tensor) -> Tensor:
        image = image - self.lambda_step * gradient
        channels = self.conv_D.shape[1]
        if image.shape[1] % channels:
            raise ConfigError(f"this ISTA-Net+ is for {channels} channels, not for images of {image.shape[1]}")
        r = image.reshape(-1, channels, *image.shape[-2:])
        features = _conv(F.relu(_conv(_conv(r, self.conv_D), self.conv1_forward)), self.conv2_forward)
        shrunk = features.sign() * F.relu(features.abs() - self.soft_thr)
        back = _conv(F.relu(_conv(shrunk, self.conv1_backward)), self.conv2_backward)
        return image + _conv(back, self.conv_G).view(image.shape)


def _filters(after: int, before: int) -> nn.Parameter:
    weight = torch.empty(after, before, 3, 3)
    return nn.Parameter(weight if weight.is_meta else nn.init.xavier_normal_(weight))


def _conv(image: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(image, weight, padding=1)
