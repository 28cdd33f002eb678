"""FFDNet (Zhang, Zuo & Zhang, TIP 2018), a denoiser for any noise level, from files in published formats: a prior for
plug-and-play methods.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mcnet_lightning.denoisers.biased import (
    BiasedDnCNN,
    is_published_dncnn,
    read_chain,
    read_published_dncnn,
)
from mcnet_lightning.denoisers.tiles import in_tiles
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files.weights import WeightFile

# Tassano et al., IPOL 2019: level first, noise comes out; KAIR: level last, the image comes out
IPOL = ("module.intermediate_dncnn.itermediate_dncnn.", "intermediate_dncnn.itermediate_dncnn.")
KAIR = ("model.",)
INTO, OUT = 5, 4  # channels of the chain: a gray image at half the resolution and the level; such an image
HALF = 2


class FFDNet(BiasedDnCNN):
    """R(v) for images (B, C, H, W), every channel by itself: a chain of convolutions on the four half-resolution images
    of v and a map of the noise level.

    noise_level: standard deviation of the noise that it takes away, in units of 1
    """

    def __init__(self, weights: list[Tensor], biases: list[Tensor], noise_level: float, of_noise: bool) -> None:
        super().__init__(weights, biases)
        if not 0 <= noise_level <= 1:
            raise ConfigError(f"noise_level={noise_level:g} is outside [0, 1]; it is in units of 1, as 0.06 for 15/255")
        self.noise_level, self.of_noise = noise_level, of_noise

    def rounded(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        chain, reach = self.chain(dtype)

        def network(given: Tensor) -> Tensor:
            """With a channel of zeros more: tiles are as deep as what they are cut from."""
            return F.pad(chain(given), (0, 0, 0, 0, 0, INTO - OUT))

        def denoise(image: Tensor) -> Tensor:
            height, width = image.shape[-2:]
            own = image.reshape(-1, 1, height, width)
            even = F.pad(own, (0, width % HALF, 0, height % HALF), mode="replicate")
            halves = F.pixel_unshuffle(even, HALF)
            level = torch.full_like(halves[:, :1], self.noise_level)
            given = torch.cat([level, halves] if self.of_noise else [halves, level], dim=1)
            made = in_tiles(network, given, reach)[:, :OUT]
            made = F.pixel_shuffle(made, HALF)[..., :height, :width]
            return (own - made if self.of_noise else made).reshape(image.shape)

        return denoise


def read_published(file: WeightFile, noise_level: float) -> BiasedDnCNN | None:
    """The denoiser of a file in the format of others, an FFDNet for `noise_level`; None for any other file."""
    if is_ffdnet(file):
        return read_ffdnet(file, noise_level)
    return read_published_dncnn(file) if is_published_dncnn(file) else None


def is_ffdnet(file: WeightFile) -> bool:
    return any(_first(file, prefix) for prefix in IPOL + KAIR)


def read_ffdnet(file: WeightFile, noise_level: float) -> FFDNet:
    """The denoiser of a file in one of these formats. Raises WeightsError, in one sentence, for what does not fit."""
    prefix = next(prefix for prefix in IPOL + KAIR if _first(file, prefix))
    return FFDNet(*read_chain(file, prefix, INTO, OUT), noise_level, of_noise=prefix in IPOL)


def _first(file: WeightFile, prefix: str) -> bool:
    first = file.tensors.get(f"{prefix}0.weight")
    return first is not None and first.ndim == 4 and first.shape[1] == INTO
