"""The door through which every backbone enters: frozen, declared, and out of the checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mcnet_lightning.errors import ConfigError, DataError, WeightsError
from mcnet_lightning.files.weights import BUNDLED, OFFICIAL
from mcnet_lightning.imaging import rgb_to_luma

Precision = Literal["float32", "bfloat16", "float16"]
InputKind = str  # a name of what was observed: "upsampled", "measurement", "lr_rgb", "picture", ...
HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone is and what it eats. Images are in [0, 1] on both sides."""

    name: str
    scale: int
    # "upsampled": bicubic Y (B, 1, H, W); "measurement": Y (B, 1, h, w); "lr_rgb": (B, 3, h, w); "picture": none
    input_kind: InputKind
    weights: str = "none"  # path, "bundled" or "official"
    sha256: str = ""  # of the weight file: identity for caches and checkpoints
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    size_multiple: int = 1  # of the height and width it works on; other sizes are padded and cropped inside
    precision: str = "float32"  # of its convolutions; float16 and bfloat16 run under autocast
    title: str = ""  # the network's name for people
    source: str = ""  # of a network from outside the package: SHA-256 of its source, arguments and numbers

    @property
    def channels(self) -> int:
        return 3 if self.input_kind == "lr_rgb" else 1

    @property
    def label(self) -> str:
        """For tables: whose weights these are, where the name alone would claim too much."""
        title = self.title or self.name
        if self.weights == BUNDLED:
            return f"{title} ({'compact, ' if self.hyperparameters else ''}ours)"
        if self.weights == OFFICIAL:
            return f"{title} (official)"
        return title if self.weights == "none" else self.name

    @property
    def identity(self) -> str:
        precision = "" if self.precision == "float32" else f"-{self.precision}"
        source = f"-{self.source[:16]}" if self.source else ""
        return f"{self.name}-x{self.scale}-{self.sha256[:16] or 'no-weights'}{source}{precision}"


class FrozenBackbone(nn.Module):
    """A network that never trains: eval-locked, without gradients, absent from `parameters()` and `state_dict()`."""

    network: nn.Module

    def __init__(self, network: nn.Module, spec: BackboneSpec) -> None:
        super().__init__()
        self.spec = spec
        # hidden from nn.Module's registry on purpose: optimisers and checkpoints must not see it
        object.__setattr__(self, "network", network.eval().requires_grad_(False))

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        self.network._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def train(self, mode: bool = True) -> "FrozenBackbone":
        return super().train(False)

    @torch.no_grad()
    def forward(self, backbone_input: Tensor) -> Tensor:
        """The prior image w, (B, 1, H, W) in the input's precision; the input is left untouched."""
        return as_luma(self.picture(backbone_input))

    @torch.no_grad()
    def picture(self, backbone_input: Tensor) -> Tensor:
        """What the network itself makes, in the input's precision: (B, 3, H, W) of colour, (B, 1, H, W) of Y.

        Raises WeightsError where that is not finite: nothing behind this door has to cope with NaN.
        """
        spec = self.spec
        if backbone_input.ndim != 4 or backbone_input.shape[1] != spec.channels:
            raise DataError(
                f"{spec.name} takes {spec.input_kind} images (B, {spec.channels}, H, W), "
                f"got {tuple(backbone_input.shape)}"
            )
        half = HALF.get(spec.precision)
        with torch.autocast(backbone_input.device.type, dtype=half, enabled=half is not None):
            made = self.network(backbone_input.clone())
        if not isinstance(made, Tensor) or made.ndim != 4 or made.shape[1] not in (1, 3):
            shown = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise ConfigError(f"{spec.name} makes {shown}, and a backbone makes images (B, 1 or 3, H, W)")
        if not bool(torch.isfinite(made).all()):
            raise WeightsError(self._not_finite(backbone_input))
        return made.to(backbone_input.dtype)

    def prior_image(self, image: Mapping[str, Any], device: torch.device | str = "cpu") -> Tensor:
        """w of one degraded test image (a dict of tensors and its `dataset` and `name`), (1, 1, H, W)."""
        try:
            return self(input_of(image, self.spec.input_kind).to(device))
        except WeightsError as error:
            raise WeightsError(f"{image.get('name', 'an image')}: {error}") from None

    def _not_finite(self, backbone_input: Tensor) -> str:
        """Whose fault it is that the output holds NaN or Inf."""
        spec = self.spec
        if not bool(torch.isfinite(backbone_input).all()):
            return f"what {spec.name} was given holds NaN or Inf; repair that image"
        if spec.precision != "float32":
            return (
                f"the output of {spec.name} holds NaN or Inf in backbone.precision={spec.precision}; "
                f"take backbone.precision={'bfloat16 or ' if spec.precision == 'float16' else ''}float32"
            )
        return (
            f"the output of {spec.name} holds NaN or Inf; its weights ({spec.weights}) are damaged or of another kind"
        )


def input_of(image: Mapping[str, Any], kind: str) -> Tensor:
    """What a backbone eats of a degraded image. Y is that of LR as it is, also where b is something else."""
    return rgb_to_luma(image["lr_rgb"]) if kind == "measurement" else image[kind]


def as_luma(image: Tensor) -> Tensor:
    """Y of what a network made: (B, 3, H, W) -> (B, 1, H, W); Y itself passes."""
    return rgb_to_luma(image) if image.shape[1] == 3 else image
