"""Pictures that any method made earlier, in place of a network."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from mcnet_lightning.backbones.frozen import BackboneSpec, FrozenBackbone
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.imaging import find_picture, list_images, read_rgb, rgb_to_luma
from mcnet_lightning.problems import Observation


class PrecomputedBackbone(FrozenBackbone):
    """Looks w up by the image's name in root/DATASET/xS, root/DATASET, root/xS or root, whichever holds pictures first.

    root: folder of super-resolved pictures, matched by name to the test images

    Raises ConfigError if there is no such folder, and DataError for an image that has no picture, more than one, or
    one of another size.
    """

    name = "precomputed"
    label, citation = "pictures", "any method's pictures, made earlier"
    default_weights = None

    def __init__(self, root: Annotated[str, {"path": "folder"}], scale: int) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise ConfigError(f"backbone.root={root}: there is no such folder; give the one with the pictures")
        super().__init__(nn.Identity(), BackboneSpec("precomputed", scale, "picture", str(root), self._digest()))

    @torch.no_grad()
    def prior_image(self, image: Mapping[str, Any], device: torch.device | str = "cpu") -> Tensor:
        scale = self.spec.scale
        path = find_picture(self._pictures(image["dataset"]), image["name"], scale)
        w = rgb_to_luma(read_rgb(path))[None]
        expected = tuple(image["observation"].truth.shape[-2:])
        if tuple(w.shape[-2:]) != expected:
            height, width = w.shape[-2:]
            raise DataError(
                f"{path} is {height} x {width} pixels, but {image['name']} at x{scale} has "
                f"{expected[0]} x {expected[1]}; check scale and protocol (paper resizes HR, standard crops it)"
            )
        return w.to(device)

    def forward(self, backbone_input: Tensor | Observation) -> Tensor:
        raise ConfigError("backbone=precomputed has pictures of whole images only; use evaluate, or a network to train")

    def _pictures(self, dataset: str) -> list[Path]:
        scale = f"x{self.spec.scale}"
        for folder in (self.root / dataset / scale, self.root / dataset, self.root / scale, self.root):
            try:
                return list_images(folder)
            except DataError:
                continue
        raise DataError(f"neither {self.root} nor {self.root / dataset / scale} holds pictures; check backbone.root")

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(path for path in self.root.rglob("*") if path.is_file()):
            digest.update(str(path.relative_to(self.root)).encode() + path.read_bytes())
        return digest.hexdigest()
