"""Published DnCNN denoisers with biases, from files in the authors' formats: priors for plug-and-play methods."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from mcnet_lightning.denoisers.convolution import convolutions
from mcnet_lightning.denoisers.tiles import in_tiles
from mcnet_lightning.equilibrium import Denoiser
from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files.weights import WeightFile

PREFIXES = ("module.dncnn.", "dncnn.", "module.model.", "model.")  # Ryu et al., ICML 2019; KAIR
NORM_EPSILON = 1e-5  # added to the variance by batch norm (torch's default, which these networks were trained with)
NORMALISED_FROM = ("weight_orig", "weight_u")  # of spectral normalisation in training; `weight` is what acts
NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


class BiasedDnCNN(Denoiser):
    """R(v) = v - N(v) for images (B, C, H, W), every channel as a gray image in [0, 1] by itself, N a chain of 3x3
    convolutions with biases and ReLU between them (Zhang et al., TIP 2017). For inference; nothing bounds its Lipschitz
    constant.
    """

    def __init__(self, weights: list[Tensor], biases: list[Tensor]) -> None:
        super().__init__()
        last = torch.channels_last
        self.weights = nn.ParameterList(weight.contiguous(memory_format=last) for weight in weights)
        self.biases = nn.ParameterList(biases)
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """R(v), (B, C, H, W) -> (B, C, H, W)."""
        return self.rounded(image.dtype)(image)

    def rounded(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """R with all convolutions but the first in `dtype`."""
        network, reach = self.chain(dtype)

        def denoise(image: Tensor) -> Tensor:
            own = image.reshape(-1, 1, *image.shape[-2:])
            return (own - in_tiles(network, own, reach)).reshape(image.shape)

        return denoise

    def chain(self, dtype: torch.dtype) -> tuple[Callable[[Tensor], Tensor], int]:
        """N with all convolutions but the first in `dtype`, and how far a value reaches."""
        weights, biases = (
            [values[0], *(value.to(dtype) for value in values[1:])] for values in ([*self.weights], [*self.biases])
        )
        reach = sum(weight.shape[-1] // 2 for weight in self.weights)
        return partial(convolutions, weights=weights, biases=biases), reach


def is_published_dncnn(file: WeightFile) -> bool:
    """Whether the file is of one of these formats; the 6-layer networks of MCNet, without any bias, are not."""
    prefix = _prefix(file)
    return prefix is not None and (prefix != "dncnn." or any(tensor.ndim == 1 for tensor in file.tensors.values()))


def read_published_dncnn(file: WeightFile) -> BiasedDnCNN:
    """The denoiser of a file of one of these formats. Raises WeightsError as `read_chain` does."""
    prefix = _prefix(file)
    if prefix is None:
        raise WeightsError(f"{file.path} is no published DnCNN (no {PREFIXES[0]}0.weight or {PREFIXES[-1]}0.weight)")
    return BiasedDnCNN(*read_chain(file, prefix))


def read_chain(file: WeightFile, prefix: str, into: int = 1, out: int = 1) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases of a file with tensors PREFIX N.weight, PREFIX N.bias, and those of batch norms, folded.

    Raises WeightsError, in one sentence, for tensors that are missing, unexpected, or of shapes that make no chain
    from `into` channels to `out`.
    """
    layers: dict[int, dict[str, Tensor]] = {}
    for name, tensor in file.tensors.items():
        number, _, kind = name.removeprefix(prefix).partition(".")
        if not name.startswith(prefix) or not number.isdigit() or not kind:
            raise WeightsError(f"{file.path} does not fit a DnCNN: {name} is unexpected")
        layers.setdefault(int(number), {})[kind] = tensor
    weights, biases = list[Tensor](), list[Tensor]()
    for position in sorted(layers):
        layer, where = layers[position], f"{prefix}{position}"
        if "weight" in layer and layer["weight"].ndim == 4:
            _require(file, where, layer, ("weight",), ("bias", *NORMALISED_FROM))
            weights.append(layer["weight"].float())
            biases.append(layer.get("bias", layer["weight"].new_zeros(len(layer["weight"]))).float())
        else:
            _require(file, where, layer, NORM_TENSORS, ("num_batches_tracked",))
            weights[-1:], biases[-1:] = _folded(file, where, weights, biases, layer)
    _require_chain(file, weights, biases, into, out)
    return weights, biases


def _prefix(file: WeightFile) -> str | None:
    return next((prefix for prefix in PREFIXES if f"{prefix}0.weight" in file.tensors), None)


def _require(
    file: WeightFile, where: str, layer: Mapping[str, Tensor], needed: tuple[str, ...], allowed: tuple[str, ...]
) -> None:
    for kind in needed:
        if kind not in layer:
            raise WeightsError(f"{file.path} does not fit a DnCNN: {where}.{kind} is missing")
    for kind, tensor in layer.items():
        if kind not in needed + allowed:
            raise WeightsError(f"{file.path} does not fit a DnCNN: {where}.{kind} is unexpected")
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{file.path}: {where}.{kind} holds NaN or Inf; get the file again")


def _folded(
    file: WeightFile, where: str, weights: list[Tensor], biases: list[Tensor], norm: Mapping[str, Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """The last convolution and bias with the batch norm after them: g (W x + c - m) / sqrt(v + eps) + h."""
    channels = len(weights[-1]) if weights else 0
    for kind in NORM_TENSORS:
        if norm[kind].shape != (channels,):
            raise WeightsError(
                f"{file.path} does not fit a DnCNN: {where}.{kind} has shape {tuple(norm[kind].shape)} after "
                f"{channels} channels"
            )
    gain, shift, mean, variance = (norm[kind].double() for kind in NORM_TENSORS)
    if bool((variance < 0).any()):
        raise WeightsError(f"{file.path}: {where}.running_var is negative; get the file again")
    factor = gain / (variance + NORM_EPSILON).sqrt()
    weight = weights[-1].double() * factor.view(-1, 1, 1, 1)
    bias = (biases[-1].double() - mean) * factor + shift
    return [weight.float()], [bias.float()]


def _require_chain(file: WeightFile, weights: list[Tensor], biases: list[Tensor], first: int, last: int) -> None:
    """Convolutions of odd kernels, each taking what the one before it makes, from `first` channels to `last`."""
    channels = first
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        out, into, *kernel = weight.shape
        if into != channels or kernel[0] != kernel[1] or kernel[0] % 2 == 0 or bias.shape != (out,):
            raise WeightsError(
                f"{file.path} does not fit a DnCNN for gray images: convolution {number} has shape "
                f"{tuple(weight.shape)} and {len(bias)} biases where {channels} channels come in"
            )
        channels = out
    if len(weights) < 2 or channels != last:
        raise WeightsError(
            f"{file.path} does not fit a DnCNN for gray images: {len(weights)} convolutions end in {channels} channels"
        )
