"""What the layer asks of R, and how any image-to-image network answers it."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mcnet_lightning.errors import ConfigError

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
CHANGING = (*BATCH_NORMS, *INSTANCE_NORMS, *DROPOUTS)  # what a forward pass in training mode changes, or does at random
Module = TypeVar("Module", bound=nn.Module)


class Denoiser(nn.Module):
    """R, (B, C, H, W) -> (B, C, H, W). Any image-to-image module will do, as a subclass or as it is: `as_denoiser`."""

    _said = False  # that parts of it are frozen

    def bind(self) -> Callable[[Tensor], Tensor]:
        """R as a fixed map for one solve, with whatever is needed of its weights computed once.

        By default the module in evaluation mode, whatever mode it is in: with statistics of the batch, or with features
        dropped at random, every evaluation would be another map, and samples would see each other. Says so, once.
        """
        parts = {type(part).__name__ for part in self.modules() if part.training and isinstance(part, CHANGING)}
        if parts and not self._said:
            self._said = True
            warnings.warn(
                f"{', '.join(sorted(parts))} of {self.label} are frozen while the layer solves, in training too: its "
                "fixed point is that of one map; running statistics stay as they are, gradients go through",
                stacklevel=2,
            )
        return self.frozen

    def frozen(self, image: Tensor) -> Tensor:
        """R(v) in evaluation mode."""
        with evaluating(self):
            denoised: Tensor = self(image)
        return denoised

    @property
    def label(self) -> str:
        """The network's name, for people."""
        return type(self).__name__

    def fold(self) -> None:
        """Makes bound weights permanent, for inference; by default there is nothing to fold."""

    def normalise(self) -> None:
        """Constrains the weights again, for training; by default there is no constraint."""

    def certificate(self) -> dict[str, Any]:
        """Sound bounds of R's Lipschitz constant, if there are any."""
        return {}


class PlainDenoiser(Denoiser):
    """Any image-to-image module as R."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @property
    def label(self) -> str:
        return type(self.network).__name__

    def forward(self, image: Tensor) -> Tensor:
        """R(v). Raises ConfigError if the network gives anything but an image of the same shape."""
        denoised: Tensor = self.network(image)
        shape = getattr(denoised, "shape", type(denoised).__name__)
        if shape != image.shape:
            raise ConfigError(
                f"{self.label} makes {_shown(shape)} of an image of shape {_shown(image.shape)}; a denoiser gives an "
                "image of the same shape"
            )
        return denoised


def as_denoiser(module: nn.Module) -> Denoiser:
    """The module itself if it is a `Denoiser`, else around it one that leaves it as it is.

    Raises ConfigError for batch norm without running statistics, which would let samples see each other.
    """
    for name, part in module.named_modules():
        if isinstance(part, BATCH_NORMS) and part.running_mean is None:
            raise ConfigError(
                f"{type(part).__name__} {name or 'itself'} of {type(module).__name__} keeps no running statistics, so "
                "that a sample's result would depend on its batch-mates; build it with track_running_stats=True"
            )
    return module if isinstance(module, Denoiser) else PlainDenoiser(module)


def copied(module: Module) -> Module:
    """A module of one's own, with the same values. Tensors that are computed from parameters, as PyTorch's older weight
    and spectral norms leave them behind, are copied as they are.
    """
    computed = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    return deepcopy(module, computed)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, without asking `train` or `eval`, which some modules override; then as before."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _shown(shape: Any) -> str:
    return str(tuple(shape)) if isinstance(shape, torch.Size) else f"a {shape}"
