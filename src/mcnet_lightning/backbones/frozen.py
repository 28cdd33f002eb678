"""The door through which every backbone enters: frozen, declared, and out of the checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mcnet_lightning.errors import ConfigError, DataError, WeightsError
from mcnet_lightning.files.weights import OFFICIAL, is_bundled
from mcnet_lightning.imaging import rgb_to_luma
from mcnet_lightning.problems import Observation

Precision = Literal["float32", "bfloat16", "float16"]
InputKind = str  # a name of what was observed, "observation": all of that, or "picture": nothing
CHANNELS = {"upsampled": 1, "measurement": 1, "lr_rgb": 3}
HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone is and what it eats. Images are in [0, 1] on both sides."""

    name: str
    scale: int
    # "upsampled": bicubic Y (B, 1, H, W); "measurement": Y (B, 1, h, w); "lr_rgb": (B, 3, h, w); "start": (B, C, H, W)
    input_kind: InputKind
    weights: str = "none"  # path, "bundled" or "official"
    sha256: str = ""  # of the weight file: identity for caches and checkpoints
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    size_multiple: int = 1  # of the height and width it works on; other sizes are padded and cropped inside
    precision: str = "float32"  # of its convolutions; float16 and bfloat16 run under autocast
    title: str = ""  # the network's name for people
    robust: bool = False  # its weights were trained on noisy and compressed LR
    source: str = ""  # of a network from outside the package: SHA-256 of its source, arguments and numbers
    ensemble: int = 1  # 8: the mean over the eight turned and mirrored inputs

    @property
    def channels(self) -> int | None:
        """Of its input; None: as many as the problem's images have."""
        return CHANNELS.get(self.input_kind)

    @property
    def label(self) -> str:
        """For tables, and whose weights these are."""
        title = (self.title or self.name) + ("+" if self.ensemble > 1 else "")
        if is_bundled(self.weights):
            said = ["compact"] if self.hyperparameters else []
            return f"{title} ({', '.join([*said, *(['robust'] if self.robust else []), 'ours'])})"
        if self.weights == OFFICIAL:
            return f"{title} (official)"
        return f"{title} (own file)" if self.title and self.weights != "none" else title

    @property
    def identity(self) -> str:
        precision = "" if self.precision == "float32" else f"-{self.precision}"
        source = f"-{self.source[:16]}" if self.source else ""
        ensemble = "" if self.ensemble == 1 else f"-{self.ensemble}turns"
        return f"{self.name}-x{self.scale}-{self.sha256[:16] or 'no-weights'}{source}{precision}{ensemble}"


class FrozenBackbone(nn.Module):
    """A network that never trains: eval-locked, without gradients, absent from `parameters()` and `state_dict()`."""

    network: nn.Module

    def __init__(self, network: nn.Module, spec: BackboneSpec) -> None:
        super().__init__()
        self.spec = spec
        # hidden from nn.Module's registry on purpose: optimisers and checkpoints must not see it
        object.__setattr__(self, "network", network.eval().requires_grad_(False))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self.network._apply(fn, recurse)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's has no types

    def train(self, mode: bool = True) -> "FrozenBackbone":
        return super().train(False)

    @torch.no_grad()
    def forward(self, backbone_input: Tensor | Observation) -> Tensor:
        """The prior image w, (B, C, H, W) in the input's precision; the input is left untouched."""
        made = self.picture(backbone_input)
        return as_luma(made) if self.spec.input_kind == "lr_rgb" else made

    def of(self, observation: Observation) -> Tensor:
        """The prior image w of a batch, (B, C, H, W)."""
        return self(input_of(observation, self.spec.input_kind))

    @torch.no_grad()
    def picture(self, backbone_input: Tensor | Observation) -> Tensor:
        """What the network itself makes, in the input's precision: (B, 3, H, W) of colour, (B, 1, H, W) of Y.

        Raises WeightsError where that is not finite: nothing behind this door has to cope with NaN.
        """
        spec = self.spec
        seen = backbone_input.measurement if isinstance(backbone_input, Observation) else backbone_input
        given = backbone_input if isinstance(backbone_input, Observation) else backbone_input.clone()
        if isinstance(given, Tensor) and (given.ndim != 4 or given.shape[1] != (spec.channels or given.shape[1])):
            raise DataError(
                f"{spec.name} takes {spec.input_kind} images (B, {spec.channels or 'C'}, H, W), got {tuple(seen.shape)}"
            )
        half = HALF.get(spec.precision)
        with torch.autocast(seen.device.type, dtype=half, enabled=half is not None):
            made = self._ensemble(given) if isinstance(given, Tensor) and spec.ensemble > 1 else self.network(given)
        if not isinstance(made, Tensor) or made.ndim != 4 or made.shape[1] not in (1, 2, 3):
            shown = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise ConfigError(f"{spec.name} makes {shown}, and a backbone makes images (B, 1 to 3, H, W)")
        if not bool(torch.isfinite(made).all()):
            raise WeightsError(self._not_finite(seen))
        return made.to(seen.dtype)

    def prior_image(self, image: Mapping[str, Any], device: torch.device | str = "cpu") -> Tensor:
        """w of one test image (its `observation`, `dataset` and `name`), (1, C, H, W)."""
        try:
            return self.of(image["observation"].to(device))
        except WeightsError as error:
            raise WeightsError(f"{image.get('name', 'an image')}: {error}") from None

    def _ensemble(self, given: Tensor) -> Tensor:
        """The mean over the eight turned and mirrored inputs, each turned back (Timofte et al., CVPR 2016)."""
        made = []
        for turns, mirrored in product(range(4), (False, True)):
            seen = given.flip(-1) if mirrored else given
            turned = self.network(seen.rot90(turns, (-2, -1))).rot90(-turns, (-2, -1))
            made.append(turned.flip(-1) if mirrored else turned)
        return torch.stack(made).mean(0)

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


def input_of(observation: Observation, kind: str) -> Tensor | Observation:
    """What a backbone eats. Raises ConfigError where the problem does not have it."""
    if kind == "observation":
        return observation
    if kind not in observation.inputs:
        raise ConfigError(
            f"this backbone takes {kind!r}, and this problem has {', '.join(observation.inputs)}; choose another"
        )
    return observation.inputs[kind]


def as_luma(image: Tensor) -> Tensor:
    """Y of what a network made: (B, 3, H, W) -> (B, 1, H, W); Y itself passes."""
    return rgb_to_luma(image) if image.shape[1] == 3 else image
