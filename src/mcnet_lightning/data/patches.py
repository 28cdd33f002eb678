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

    surroundings: the same patches with `margin` pixels around them, for a backbone to see; of its output that margin
    is cut off. None: it sees the patches alone.
    """

    observation: Observation
    images: Tensor | None = None
    prior_image: Tensor | None = None  # (N, C, P, P)
    surroundings: Observation | None = None
    margin: int = 0

    def __len__(self) -> int:
        return len(self.observation)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> dict[str, Any]:
        index = torch.tensor(indices)
        batch = {"observation": self.observation.select(index), "index": index}
        more = {"images": self.images, "prior_image": self.prior_image}
        return batch | {name: tensor[index] for name, tensor in more.items() if tensor is not None}

    @property
    def seen(self) -> Observation:
        """What a backbone sees of every patch."""
        return self.observation if self.surroundings is None else self.surroundings

    def digest(self) -> str:
        """SHA-256 of what a backbone sees: the content key of everything computed from it."""
        inputs = {name: self.seen.inputs[name] for name in sorted(self.seen.inputs)}
        more = {name: tensor for name, tensor in inputs.items() if name not in ("start", "measurement")}
        digest = hashlib.sha256()
        for tensor in more.values() or (self.seen.start, self.seen.measurement):
            digest.update(str(tuple(tensor.shape)).encode() + tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


def cut_patches(
    images: Iterable[Tensor],
    problem: Problem,
    size: int,
    stride: int,
    seed: int,
    limit: int | None = None,
    margin: int = 0,
) -> TrainingSet:
    """Patches (size x size, every `stride` pixels) of images (C, H, W), each in one random orientation.

    The same seed gives the same patches in the same orientations. `limit` keeps a random subset of that many.
    `margin` pixels around each are left in its `surroundings`; b is of the patch alone, in any case.
    """
    multiple = problem.patch_multiple()
    for key, pixels in (("patch_size", size), ("patch_margin", margin)):
        if pixels % multiple:
            raise DataError(f"data.{key}={pixels} is no multiple of scale={multiple}; use {pixels - pixels % multiple}")
    window = size + 2 * margin
    cut = [_grid(image, window, stride) for image in images if min(image.shape[-2:]) >= window]
    if not cut:
        wanted = f"data.patch_size={size}" + (f" with data.patch_margin={margin} around it" if margin else "")
        raise DataError(f"no training image is as large as {wanted}; use smaller patches")
    generator = torch.Generator().manual_seed(seed)
    patches = torch.cat(cut)
    keep = torch.randperm(len(patches), generator=generator)[:limit]
    patches = patches[keep]
    turns = torch.randint(8, (len(patches),), generator=generator)
    for orientation in range(8):
        chosen = turns == orientation
        patches[chosen] = orient(patches[chosen], orientation)
    if not margin:
        return TrainingSet(_observed(patches, problem, seed))
    inner = _observed(without_margin(patches, margin), problem, seed)
    return TrainingSet(inner, surroundings=_observed(patches, problem, seed), margin=margin)


def without_margin(images: Tensor, margin: int) -> Tensor:
    """(..., H, W) without `margin` pixels on each side."""
    height, width = images.shape[-2:]
    return images[..., margin : height - margin, margin : width - margin]


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
