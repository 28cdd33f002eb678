"""U-Net in the layout of fastMRI (Ronneberger et al. 2015; Zbontar et al. 2018), whose published files load."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcnet_lightning.errors import ConfigError, WeightsError

SLOPE = 0.2  # of the leaky rectifiers
FLAT = 1e-6  # standard deviation of images, and features, below which they are not enlarged
MARK = "residual"


class UNet(nn.Module):
    """The start image of a problem, (B, C, H, W), to a better one.

    A published file holds a network that makes the image itself, of a slice with mean 0 and standard deviation 1. Ours
    add a correction to the image, nothing at first, and say so by a tensor called `residual`. Either sees the image
    normalised, so that its levels do not matter; any size of at least 2^pools pixels.

    channels: of the images; null: as many as those of the problem, else two
    chans: features of the finest level
    pools: how often the resolution is halved
    residual: whether it makes a correction to the image, not the image itself
    """

    name = "unet"
    label = "U-Net"
    input_kind = "start"
    default_weights = "usual"
    citation = "Ronneberger et al., MICCAI 2015"

    def __init__(self, channels: int | None = None, chans: int = 16, pools: int = 3, residual: bool = True) -> None:
        super().__init__()
        channels = 2 if channels is None else channels
        if min(channels, chans, pools) < 1:
            raise ConfigError(
                f"a U-Net of channels={channels}, chans={chans}, pools={pools} is none; all are at least 1"
            )
        self.pools, self.is_residual = pools, residual
        widths = [chans * 2**level for level in range(pools + 1)]
        self.down_sample_layers = nn.ModuleList(
            ConvBlock(before, after) for before, after in zip([channels, *widths], widths[:-1], strict=False)
        )
        self.conv = ConvBlock(widths[-2], widths[-1])
        upwards = list(reversed(widths[:-1]))
        self.up_transpose_conv = nn.ModuleList(TransposeConvBlock(2 * width, width) for width in upwards)
        blocks: list[nn.Module] = [ConvBlock(2 * width, width) for width in upwards]
        last = nn.Conv2d(chans, channels, 1)
        blocks[-1] = nn.Sequential(blocks[-1], last)
        self.up_conv = nn.ModuleList(blocks)
        if residual:
            self.register_buffer(MARK, torch.ones(()))
            nn.init.zeros_(last.weight)
            assert last.bias is not None
            nn.init.zeros_(last.bias)

    def forward(self, start: Tensor) -> Tensor:
        if min(start.shape[-2:]) < 2**self.pools:
            raise ConfigError(
                f"a U-Net of {self.pools} poolings takes images of at least {2**self.pools} pixels, got "
                f"{start.shape[-2]} x {start.shape[-1]}"
            )
        mean = start.mean(dim=(1, 2, 3), keepdim=True)
        deviation = (start - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + FLAT
        made = self._features((start - mean) / deviation).to(start.dtype) * deviation
        return start + made if self.is_residual else mean + made

    def _features(self, image: Tensor) -> Tensor:
        fine = []
        for layer in self.down_sample_layers:
            image = layer(image)
            fine.append(image)
            image = F.avg_pool2d(image, 2)
        image = self.conv(image)
        for enlarge, layer in zip(self.up_transpose_conv, self.up_conv, strict=True):
            beside = fine.pop()
            image = enlarge(image)
            missing = (0, beside.shape[-1] - image.shape[-1], 0, beside.shape[-2] - image.shape[-2])
            image = layer(torch.cat([F.pad(image, missing, "reflect"), beside], dim=1))
        return image

    @staticmethod
    def hyperparameters(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """What a file's tensors say of the network."""
        first = tensors.get("down_sample_layers.0.layers.0.weight")
        if first is None or first.ndim != 4:
            raise WeightsError("it has no down_sample_layers.0.layers.0.weight as U-Nets of fastMRI's layout have")
        pools = len({name.split(".")[1] for name in tensors if name.startswith("down_sample_layers.")})
        return {"channels": first.shape[1], "chans": first.shape[0], "pools": pools, "residual": MARK in tensors}


class ConvBlock(nn.Module):
    """Two convolutions, each with instance normalisation and a leaky rectifier."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (before, after):
            convolution = nn.Conv2d(width, after, 3, padding=1, bias=False)
            # the empty place is that of fastMRI's dropout, whose number counts in the names of a file
            layers += [convolution, Normalisation(after), nn.LeakyReLU(SLOPE), nn.Identity()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, image: Tensor) -> Tensor:
        made: Tensor = self.layers(image)
        return made


class TransposeConvBlock(nn.Module):
    """Twice the size, by a transposed convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(before, after, 2, stride=2, bias=False), Normalisation(after), nn.LeakyReLU(SLOPE)
        )

    def forward(self, image: Tensor) -> Tensor:
        made: Tensor = self.layers(image)
        return made


class Normalisation(nn.InstanceNorm2d):
    """Instance normalisation that also takes images of one pixel, in training as in use."""

    def forward(self, image: Tensor) -> Tensor:
        return F.instance_norm(image, eps=self.eps) if image.shape[-2:].numel() > 1 else torch.zeros_like(image)
