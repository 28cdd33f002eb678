"""Training patches: cut from HR, flipped and turned, and only then degraded, so that b = A x holds patch by patch."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging import Degradation, Observation

CHUNK = 1024  # patches degraded at once


@dataclass
class PatchSet:
    """N patches in memory. Indexing with a list of positions gives a batch (a dict of tensors)."""

    truth: Tensor  # (N, 1, P, P) Y of HR
    truth_rgb: Tensor  # (N, 3, P, P)
    measurement: Tensor  # (N, 1, p, p) Y of LR
    lr_rgb: Tensor  # (N, 3, p, p)
    upsampled: Tensor  # (N, 1, P, P)
    prior_image: Tensor | None = None  # (N, 1, P, P), the frozen backbone's output

    def __len__(self) -> int:
        return len(self.truth)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: value[index] for name, value in self._tensors()}

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        batch = {name: value[indices] for name, value in self._tensors()}
        return {**batch, "index": torch.tensor(indices)}

    def digest(self) -> str:
        """SHA-256 of what a backbone sees: the content key of everything computed from it."""
        digest = hashlib.sha256()
        for tensor in (self.lr_rgb, self.upsampled):
            digest.update(str(tuple(tensor.shape)).encode() + tensor.numpy().tobytes())
        return digest.hexdigest()

    def _tensors(self) -> list[tuple[str, Tensor]]:
        named = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, value) for name, value in named if value is not None]


def cut_patches(
    images: Iterable[Tensor], degradation: Degradation, size: int, stride: int, seed: int, limit: int | None = None
) -> PatchSet:
    """Patches (size x size, every `stride` pixels) of HR images (3, H, W), each in one random orientation.

    The same seed gives the same patches in the same orientations. `limit` keeps a random subset of that many.
    """
    if size % degradation.scale:
        raise DataError(
            f"data.patch_size={size} is no multiple of scale={degradation.scale}; use {size - size % degradation.scale}"
        )
    cut = [_grid(image, size, stride) for image in images if min(image.shape[-2:]) >= size]
    if not cut:
        raise DataError(f"no training image is as large as data.patch_size={size}; use smaller patches")
    generator = torch.Generator().manual_seed(seed)
    patches = torch.cat(cut)
    keep = torch.randperm(len(patches), generator=generator)[:limit]
    patches = patches[keep]
    turns = torch.randint(8, (len(patches),), generator=generator)
    for orientation in range(8):
        chosen = turns == orientation
        patches[chosen] = orient(patches[chosen], orientation)
    observed = [degradation(chunk) for chunk in patches.split(CHUNK)]
    return PatchSet(
        **{field.name: torch.cat([getattr(each, field.name) for each in observed]) for field in fields(Observation)}
    )


def orient(patches: Tensor, orientation: int) -> Tensor:
    """One of the eight symmetries of the square: quarter turns 0..3, then the same after a left-right flip."""
    return torch.rot90(patches.flip(-1) if orientation >= 4 else patches, orientation % 4, dims=(-2, -1))


def _grid(image: Tensor, size: int, stride: int) -> Tensor:
    """All patches of one image, (n, 3, size, size)."""
    windows = image.unfold(1, size, stride).unfold(2, size, stride)  # (3, rows, columns, size, size)
    return windows.permute(1, 2, 0, 3, 4).reshape(-1, 3, size, size)
