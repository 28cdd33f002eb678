"""DnCNN (Zhang et al., TIP 2017) without batch norm, spectrally normalised: the learned prior R."""

import math
import warnings
from functools import cache, partial
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args

import torch
from torch import Tensor, nn

from mcnet_lightning.denoisers.convolution import convolutions
from mcnet_lightning.denoisers.half_precision import HalfChain, MaskedChain, laid_out
from mcnet_lightning.denoisers.lipschitz import ConvolutionNorm, convolution_norm_bound
from mcnet_lightning.denoisers.tiles import in_tiles
from mcnet_lightning.equilibrium import Denoiser, Linearisation
from mcnet_lightning.errors import ConfigError

Parameterisation = Literal["noise_residual", "averaged", "direct"]
Rescale = Literal["none", "per_sample"]
KERNEL = 3
NORMALISED = 1.1  # norms of convolutions that were spectrally normalised are at most a few percent above 1
PUBLISHED_MARGIN = 0.09375  # the published models stretch [min, max] of their input to [-m/2, 1 + m/2]


class DnCNN(Denoiser):
    """R(v) for images (B, C, H, W), from a chain N of `depth` 3x3 convolutions with ReLU between them.

    parameterisation: R(v) = v - N(v), (1 - a) v + a N(v), or N(v)
        noise_residual: R(v) = v - N(v - c), as published; convergence is not guaranteed, so it is monitored.
        averaged:       R(v) = (1 - a) v + a N(v - c), 0 < a <= 1/2; with N 1-Lipschitz, R is firmly non-expansive, T is
                        averaged and Picard iteration converges.
        direct:         R(v) = N(v - c).
    c is a learned scalar: without biases a ReLU network is positively homogeneous, so this offset does what rescaling
    by the image's extremes did in the published models, without depending on them. `rescale="per_sample"` is that
    rescaling, for loading those models.

    depth: number of convolutions
    channels: features of each hidden layer
    averaging: a of `averaged`, in (0, 1/2]
    spectral_norm: keep every convolution 1-Lipschitz while training
    rescale: the input by its extremes, as the published models do
    image_channels: of the images
    bias: add a number to each feature, as the authors do. Without, the network's smoothing follows the noise that is
        there; with it, it takes away what it was trained for (Mohan et al., ICLR 2020)
    """

    default_weights = "bundled"

    def __init__(
        self,
        depth: Annotated[int, {"minimum": 2}] = 6,
        channels: Annotated[int, {"minimum": 1}] = 64,
        parameterisation: Parameterisation = "noise_residual",
        averaging: Annotated[float, {"minimum": 0.0, "maximum": 0.5, "exclusive": True}] = 0.5,
        spectral_norm: bool = True,
        rescale: Rescale = "none",
        image_channels: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if parameterisation not in get_args(Parameterisation):
            raise ConfigError(
                f"parameterisation={parameterisation!r}: use one of {', '.join(get_args(Parameterisation))}"
            )
        if rescale not in get_args(Rescale):
            raise ConfigError(f"rescale={rescale!r}: use one of {', '.join(get_args(Rescale))}")
        if depth < 2 or channels < 1 or not 0 < averaging <= 0.5:
            raise ConfigError(
                f"depth={depth} (>= 2), channels={channels} (>= 1) or averaging={averaging} in (0, 1/2] is off"
            )
        self.parameterisation, self.averaging, self.rescale = parameterisation, averaging, rescale
        widths = [image_channels, *[channels] * (depth - 1), image_channels]
        self.weights = nn.ParameterList()
        for wide_in, wide_out in pairwise(widths):
            weight = torch.empty(wide_out, wide_in, KERNEL, KERNEL)
            if not weight.is_meta:  # where PyTorch would load its compiler for it, seconds long
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
            self.weights.append(weight.contiguous(memory_format=torch.channels_last))
        self.biases = nn.ParameterList(torch.zeros(width) for width in widths[1:]) if bias else None
        self.offset = nn.Parameter(torch.zeros(()))
        self.norms = self._new_norms() if spectral_norm else None

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {
            "depth": len(self.weights),
            "channels": self.weights[0].shape[0],
            "parameterisation": self.parameterisation,
            "averaging": self.averaging,
            "spectral_norm": self.norms is not None,
            "rescale": self.rescale,
            "image_channels": self.weights[0].shape[1],
            **({"bias": True} if self.biases is not None else {}),  # what says nothing of it was written before
        }

    def effective_weights(self) -> list[Tensor]:
        """The convolutions that act: normalised, on the tape in training; advances the power iteration by one step."""
        if self.norms is None:
            return list(self.weights)
        with torch.autocast(self.offset.device.type, enabled=False):
            return [norm(weight) for norm, weight in zip(self.norms, self.weights, strict=True)]

    def bind(self) -> "_BoundDnCNN":
        """R with its weights normalised once: a fixed map for a whole solve, however often it is evaluated."""
        return _BoundDnCNN(self, self.effective_weights(), None if self.biases is None else list(self.biases))

    def forward(self, image: Tensor) -> Tensor:
        """R(v), (B, C, H, W) -> (B, C, H, W)."""
        return self.bind()(image)

    @torch.no_grad()
    def fold(self) -> None:
        """Writes the normalised weights into the network and drops the norms: plain convolutions, for inference."""
        for weight, effective in zip(self.weights, self.effective_weights(), strict=True):
            weight.copy_(effective)
        self.norms = None

    def normalise(self) -> None:
        """Puts spectral normalisation back on what `fold` left, to train on. No effect where it is on, on published
        models, which rescale their input, and, with a warning, on convolutions that were trained without it: divided
        by their norms they would be another network.
        """
        if self.norms is not None or self.rescale != "none":
            return
        norms = self._new_norms()
        with torch.no_grad():
            largest = max(
                float(weight.norm() / norm(weight).norm()) for norm, weight in zip(norms, self.weights, strict=True)
            )
        if largest <= NORMALISED:
            self.norms = norms
        else:
            warnings.warn(
                f"the denoiser was trained without spectral normalisation (norms up to {largest:.1f}) and goes on "
                "without: convergence is monitored, not guaranteed",
                stacklevel=2,
            )

    @torch.no_grad()
    def certificate(self) -> dict[str, Any]:
        """Sound upper bounds of l2 norms, valid for images of every size: each layer, their product, and R itself.

        Rescaling by the image's extremes has no such bound: R's is then infinite.
        """
        layers = [convolution_norm_bound(weight) for weight in self.effective_weights()]
        chain = float(torch.tensor(layers, dtype=torch.float64).prod())
        a = self.averaging
        bounds = {"noise_residual": 1 + chain, "averaged": 1 - a + a * chain, "direct": chain}
        bound = bounds[self.parameterisation] if self.rescale == "none" else math.inf
        return {"layer_norm_bounds": layers, "network_lipschitz_bound": chain, "denoiser_lipschitz_bound": bound}

    def _new_norms(self) -> nn.ModuleList:
        return nn.ModuleList(ConvolutionNorm(weight) for weight in self.weights)

    def combine(self, image: Tensor, network: Tensor) -> Tensor:
        """R(v) from v and N(v); linear in both, so that it serves derivatives too."""
        if self.parameterisation == "noise_residual":
            return image - network
        if self.parameterisation == "averaged":
            return (1 - self.averaging) * image + self.averaging * network
        return network


class _BoundDnCNN:
    """R with fixed, normalised weights, each convolution in its weight's precision."""

    def __init__(self, denoiser: DnCNN, weights: list[Tensor], biases: list[Tensor] | None) -> None:
        self.denoiser, self.weights, self.biases = denoiser, weights, biases
        self.half_chain = cache(partial(HalfChain, weights))

    def __call__(self, image: Tensor) -> Tensor:
        return self._restored(self._own(image)).reshape(image.shape)

    def _own(self, image: Tensor) -> Tensor:
        """Images of the network's channels, (B k, C, H, W): those of k times as many, as complex ones have for a
        network of real images, are denoised channel by channel. Raises ConfigError for any other number.
        """
        channels = self.weights[0].shape[1]
        if image.shape[1] % channels:
            raise ConfigError(f"a denoiser of {channels} channels cannot take images of {image.shape[1]}")
        return image if image.shape[1] == channels else image.reshape(-1, channels, *image.shape[-2:])

    def _restored(self, image: Tensor) -> Tensor:
        if self.denoiser.rescale == "none":
            return self.denoiser.combine(image, self._network(image))
        low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
        stretch = (1 + PUBLISHED_MARGIN) / (high - low).clamp_min(1e-6)
        scaled = (image - low) * stretch - PUBLISHED_MARGIN / 2
        return (self.denoiser.combine(scaled, self._network(scaled)) + PUBLISHED_MARGIN / 2) / stretch + low

    def rounded(self, dtype: torch.dtype) -> "_BoundDnCNN":
        """R with all convolutions but the first in `dtype`, without tape: 1/255 is lost in half. N(v) is off by some
        5e-4 of it.
        """
        weights = [self.weights[0].detach(), *laid_out(self.weights[1:], dtype)]
        biases = self.biases and [self.biases[0].detach(), *(bias.detach().to(dtype) for bias in self.biases[1:])]
        return _BoundDnCNN(self.denoiser, weights, biases)

    def linearise(self, image: Tensor, dtype: torch.dtype) -> Linearisation | None:
        """R at `image`, products in `dtype`; None for `rescale="per_sample"` and biases, which are left to autograd."""
        if self.denoiser.rescale != "none" or self.biases is not None:
            return None
        chain, combine, own = self.half_chain(dtype), self.denoiser.combine, self._own(image)
        network, masks = chain(own - self.denoiser.offset)
        planes = image.shape[1] // own.shape[1]
        jvp = MaskedChain(chain.forwards, masks, combine, planes)
        return Linearisation(
            combine(own, network).reshape(image.shape),
            jvp,
            lambda u: MaskedChain(chain.backwards, masks[::-1], combine, planes)(u),
        )

    def _network(self, image: Tensor) -> Tensor:
        """N(v - c)."""
        reach = len(self.weights) * (KERNEL // 2)
        network = partial(convolutions, weights=self.weights, biases=self.biases)
        return in_tiles(network, image - self.denoiser.offset, reach)
