"""The door through which every backbone enters: frozen, declared, and out of the checkpoint."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mcnet_lightning.errors import DataError

InputKind = Literal["upsampled", "lr_rgb"]


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone is and what it eats. Images are in [0, 1] on both sides."""

    name: str
    scale: int
    input_kind: InputKind  # "upsampled": bicubic Y (B, 1, H, W); "lr_rgb": (B, 3, h, w)
    weights: str = "none"  # path or "bundled"
    sha256: str = ""  # of the weight file: identity for caches and checkpoints

    @property
    def identity(self) -> str:
        return f"{self.name}-x{self.scale}-{self.sha256[:16] or 'no-weights'}"


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
        """The prior image w, (B, 1, H, W); the input is left untouched."""
        channels = 3 if self.spec.input_kind == "lr_rgb" else 1
        if backbone_input.ndim != 4 or backbone_input.shape[1] != channels:
            raise DataError(
                f"{self.spec.name} takes {self.spec.input_kind} images (B, {channels}, H, W), "
                f"got {tuple(backbone_input.shape)}"
            )
        return self.network(backbone_input.clone())
