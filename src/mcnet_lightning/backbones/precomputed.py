"""Pictures, or arrays, that any method made earlier, in place of a network."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from mcnet_lightning.backbones.frozen import BackboneSpec, FrozenBackbone
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.files.arrays import PICTURE_ENDINGS, READERS, array_names, complex_of, ending, read_array
from mcnet_lightning.imaging import find_picture, list_images, read_rgb, rgb_to_gray, rgb_to_luma
from mcnet_lightning.problems import Observation

LAST_AXIS = (".nii", ".nii.gz")  # of slices; elsewhere it is the first
COMPLEX = 2  # channels


class PrecomputedBackbone(FrozenBackbone):
    """Looks w up by the image's name in root/DATASET/xS, root/DATASET, root/xS or root, whichever holds some first.

    Arrays (.npy, .npz, .mat, .h5, NIfTI, ...) hold the image as the problem counts it: of scans complex, with the
    peak of the true magnitude at 1. A file is one image or a stack of slices, NAME_000 being the first one's image; of
    several arrays in a file each is called as its image.

    root: folder of pictures or arrays, matched by name to the test images

    Raises ConfigError if there is no such folder, and DataError for an image that has none, more than one, or one of
    another size.
    """

    name = "precomputed"
    label, citation = "pictures", "any method's pictures, made earlier"
    default_weights = None

    def __init__(self, root: Annotated[str | Path, {"path": "folder"}], scale: int | str) -> None:
        self.root, self.scale = Path(root), scale
        if not self.root.is_dir():
            raise ConfigError(f"backbone.root={root}: there is no such folder; give the one with the pictures")
        enlarges = 1 if isinstance(scale, str) else scale
        super().__init__(nn.Identity(), BackboneSpec("precomputed", enlarges, "picture", str(root), self._digest()))

    @torch.no_grad()
    def prior_image(self, image: Mapping[str, Any], device: torch.device | str = "cpu") -> Tensor:
        truth, name, dataset = image["observation"].truth, image["name"], image["dataset"]
        pictures = [] if truth.shape[1] == COMPLEX else self._pictures(dataset)
        if pictures:
            path = str(find_picture(pictures, name, self.spec.scale))
            rgb = read_rgb(path)[None]
            counted = rgb_to_gray if isinstance(self.scale, str) else rgb_to_luma
            w = rgb if truth.shape[1] == 3 else counted(rgb)
        else:
            path, w = self._array(dataset, name, truth)
        expected = tuple(truth.shape[-2:])
        if tuple(w.shape[-2:]) != expected:
            height, width = w.shape[-2:]
            scale, hint = f" at x{self.scale}", "scale and protocol (paper resizes HR, standard crops it)"
            if isinstance(self.scale, str):
                scale, hint = "", "the pair"
            raise DataError(
                f"{path} is {height} x {width} pixels, but {name}{scale} has {expected[0]} x {expected[1]}; "
                f"check {hint}"
            )
        return w.to(device)

    def forward(self, backbone_input: Tensor | Observation) -> Tensor:
        raise ConfigError("backbone=precomputed has pictures of whole images only; use evaluate, or a network to train")

    def _folders(self, dataset: str) -> list[Path]:
        scale = str(self.scale) if isinstance(self.scale, str) else f"x{self.scale}"
        return [self.root / dataset / scale, self.root / dataset, self.root / scale, self.root]

    def _pictures(self, dataset: str) -> list[Path]:
        for folder in self._folders(dataset):
            try:
                return list_images(folder)
            except DataError:
                continue
        return []

    def _array(self, dataset: str, name: str, truth: Tensor) -> tuple[str, Tensor]:
        """Where it was, and (1, C, H, W)."""
        known = next(filter(None, map(_arrays, self._folders(dataset))), None)
        if known is None:
            what = "arrays" if truth.shape[1] == COMPLEX else "pictures"
            raise DataError(f"neither {self.root} nor {self._folders(dataset)[0]} holds {what}; check backbone.root")
        names, number = [Path(f"{each}.npy") for each in known], 0
        try:
            found = find_picture(names, name, self.spec.scale)
        except DataError:
            stem, _, digits = name.rpartition("_")
            if not (digits.isdigit() and stem in known):
                raise
            found, number = Path(f"{stem}.npy"), int(digits)
        path = known[found.stem]
        values = np.squeeze(read_array(path))
        try:
            return path, _of_array(values, number, truth, ending(Path(path.partition(":")[0])) in LAST_AXIS)
        except DataError as error:
            raise DataError(f"{path}, for {name}: {error}") from None

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(path for path in self.root.rglob("*") if path.is_file()):
            digest.update(str(path.relative_to(self.root)).encode() + path.read_bytes())
        return digest.hexdigest()


def _of_array(values: np.ndarray, number: int, truth: Tensor, last: bool) -> Tensor:
    """(1, C, H, W), float32, of (H, W), or of that slice of a stack."""
    channels = truth.shape[1]
    if channels == COMPLEX:
        if np.iscomplexobj(values) or (values.ndim > 2 and 2 in (values.shape[0], values.shape[-1])):
            values = complex_of(values, "it")
        elif bool(truth[:, 1].any()):
            raise DataError(f"it holds real numbers, {values.dtype}, and the image is complex; save it with its phase")
    elif np.iscomplexobj(values):
        raise DataError("it holds complex numbers, and the image is real")
    values = np.moveaxis(values, -1, 0) if last and values.ndim == 3 else values
    stack = values[None] if values.ndim == 2 else values
    if stack.ndim != 3 or number >= len(stack):
        raise DataError(f"it has shape {values.shape}, and image number {number} is wanted, from 0")
    image = stack[number]
    if not np.isfinite(image).all():
        raise DataError("it holds NaN or Inf")
    parts = [image.real, image.imag] if channels == COMPLEX else [image] * channels
    return torch.from_numpy(np.stack(parts)).float()[None]


def _arrays(folder: Path) -> dict[str, str]:
    """The arrays of a folder, by the name of their image."""
    found: dict[str, str] = {}
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in files:
        if ending(path) not in READERS or ending(path) in PICTURE_ENDINGS or path.name.startswith("."):
            continue
        names = list(array_names(path))
        stem = path.name[: -len(ending(path))]
        found |= {stem: f"{path}:{names[0]}"} if len(names) == 1 else {name: f"{path}:{name}" for name in names}
    return found
