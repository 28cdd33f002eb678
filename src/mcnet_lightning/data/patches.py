"""What is trained on: patches, cut from images, flipped and turned, and only then observed, so that b = A x holds patch
by patch; whole images where a problem is not local.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mcnet_lightning.errors import DataError
from mcnet_lightning.problems import Observation, Problem
from mcnet_lightning.problems.observation import joined

CHUNK = 1024  # patches observed at once


@dataclass
class TrainingSet(Dataset[dict[str, Any]]):
    """N patches or images in memory. Indexing with a list of positions gives a batch: `observation`, `index`, and with
    a frozen backbone its output `prior_image`. Whole images also give `images`, what was observed.
    """

    observation: Observation
    images: Tensor | None = None
    prior_image: Tensor | None = None  # (N, C, P, P)

    def __len__(self) -> int:
        return len(self.observation)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> dict[str, Any]:
        index = torch.tensor(indices)
        batch = {"observation": self.observation.select(index), "index": index}
        more = {"images": self.images, "prior_image": self.prior_image}
        return batch | {name: tensor[index] for name, tensor in more.items() if tensor is not None}

    def digest(self) -> str:
        """SHA-256 of what a backbone sees: the content key of everything computed from it."""
        seen = {name: self.observation.inputs[name] for name in sorted(self.observation.inputs)}
        more = {name: tensor for name, tensor in seen.items() if name not in ("start", "measurement")}
        digest = hashlib.sha256()
        for tensor in more.values() or (self.observation.start, self.observation.measurement):
            digest.update(str(tuple(tensor.shape)).encode() + tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


def cut_patches(
    images: Iterable[Tensor], problem: Problem, size: int, stride: int, seed: int, limit: int | None = None
) -> TrainingSet:
    """Patches (size x size, every `stride` pixels) of images (C, H, W), each in one random orientation.

    The same seed gives the same patches in the same orientations. `limit` keeps a random subset of that many.
    """
    multiple = problem.patch_multiple()
    if size % multiple:
        raise DataError(f"data.patch_size={size} is no multiple of scale={multiple}; use {size - size % multiple}")
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
    return TrainingSet(_observed(patches, problem, seed))


def whole_images(images: Sequence[Tensor], problem: Problem, seed: int, limit: int | None = None) -> TrainingSet:
    """Images (C, H, W) of one size, observed together. Raises DataError where their sizes differ."""
    fitted = [problem.fit(image) for image in images]
    sizes = {tuple(image.shape) for image in fitted}
    if len(sizes) != 1:
        raise DataError(
            f"problem={problem.name} trains on whole images in batches, and these are of different sizes: "
            f"{', '.join(' x '.join(map(str, size)) for size in sorted(sizes)[:3])}; crop them to one size"
        )
    keep = torch.randperm(len(fitted), generator=torch.Generator().manual_seed(seed))[:limit]
    chosen = torch.stack(fitted)[keep]
    return TrainingSet(problem.observe(chosen, seed), chosen)


def orient(patches: Tensor, orientation: int) -> Tensor:
    """One of the eight symmetries of the square: quarter turns 0..3, then the same after a left-right flip."""
    return torch.rot90(patches.flip(-1) if orientation >= 4 else patches, orientation % 4, dims=(-2, -1))


def _observed(patches: Tensor, problem: Problem, seed: int) -> Observation:
    """All patches; a chunk at a time where they share an operator, so that memory is that of one."""
    first = problem.observe(patches[:CHUNK], seed)
    if len(patches) <= CHUNK:
        return first
    if first.operator.select(torch.tensor([0])) is not first.operator:
        return problem.observe(patches, seed)
    return joined([first, *(problem.observe(chunk, seed) for chunk in patches[CHUNK:].split(CHUNK))])


def _grid(image: Tensor, size: int, stride: int) -> Tensor:
    """All patches of one image, (n, C, size, size)."""
    windows = image.unfold(1, size, stride).unfold(2, size, stride)  # (C, rows, columns, size, size)
    return windows.permute(1, 2, 0, 3, 4).reshape(-1, len(image), size, size)
