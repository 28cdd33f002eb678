"""A problem says what is measured of what, and how quality is counted. Nothing else in the house knows.

A problem of your own is a subclass with a schema or a yaml of its own: `problem=mine` with conf/problem/mine.yaml
(`_target_`) in `--config-dir`. Its constructor's arguments are its keys, `problem.KEY`, but for those named in
`given`, which come from the keys that a command has at its root (`scale`, `operator`, `seed`, ...).
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.problems.observation import Observation

ImageKind = Literal["picture", "complex", "hounsfield"]


class Problem(ABC):
    """b = A x + n, from a dataset's image to figures of quality.

    name:       what `problem=` calls it; a column of metrics.csv.
    images:     what it takes of a dataset: `picture` (3, H, W) RGB in [0, 1]; `complex` (2, H, W), the peak of its
                magnitude 1; `hounsfield` (1, H, W) in Hounsfield units.
    channels:   C of x.
    local:      whether training patches make sense, b of a patch being the patch of b. They are cut from the images,
                flipped and turned, and observed then; other problems train on whole images.
    turns:      whether b of a turned image is b turned: A and the images know no direction.
    figures:    names of what `quality` counts, see `figures.figure`; the first is the one that gains are told in, and
                that the best checkpoint is chosen by.
    start_name: what `start` is called in tables.
    scale:      how much smaller than x, in each direction, b is; None where that means nothing.
    ladder:     rows of the ladder where `method` names none.
    noisy:      whether epsilon is `noise` where nothing else is said; else 0.
    usual:      options of other groups that go with it where they are not chosen, such as {"backbone": "unet"};
                `restoring` is the backbone of `restore`, `start` unless it is said.
    given:      arguments of the constructor that are no keys `problem.*`, as the command itself answers them.
    from_files: arguments that also say how a measurement in somebody's file came about, for `restore` and `certify`;
                None: they read none.
    """

    name: ClassVar[str]
    images: ClassVar[ImageKind] = "picture"
    channels: int = 1
    local: ClassVar[bool] = True
    turns: bool = True
    figures: tuple[str, ...] = ("psnr", "ssim")
    start_name: ClassVar[str] = "start"
    scale: int | None = None
    ladder: ClassVar[tuple[str, ...]] = (
        "start",
        "start+projection",
        "tv",
        "backbone",
        "backbone+projection",
        "mcnet",
    )
    noisy: ClassVar[bool] = True
    usual: ClassVar[Mapping[str, str]] = {}
    given: ClassVar[tuple[str, ...]] = ()
    from_files: ClassVar[tuple[str, ...] | None] = None

    @property
    @abstractmethod
    def label(self) -> str:
        """The protocol: what figures depend on beside images and methods, in one word without spaces, such as
        `radial20-noise0.01`. A table never mixes two.
        """

    @property
    @abstractmethod
    def operator_name(self) -> str:
        """Kind and parameters of A in one word; where every image has its own, what they have in common."""

    @abstractmethod
    def observe(self, images: Tensor, seed: int) -> Observation:
        """b and the rest, of a batch of a dataset's images (B, ...) as `images` says, which `fit` has seen.

        The same seed and image give the same measurement, whatever else is in the batch: see `draws`.
        """

    @abstractmethod
    def radius(self, observation: Observation) -> Tensor:
        """The l2 radius that epsilon=noise stands for, float64 (B,) on the CPU; 0 where there is no noise."""

    @abstractmethod
    def quality(self, estimate: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Every name of `figures` with its value per image, float64 (B,)."""

    @property
    def short(self) -> str:
        """For names of runs and tags: `x2`, `mri`."""
        return self.name if self.scale is None else f"x{self.scale}"

    def headline(self, estimate: Tensor, truth: Tensor) -> Tensor:
        """The first of the figures alone, (B,)."""
        return self.quality(estimate, truth)[self.figures[0]]

    def counted(self, image: Tensor) -> Tensor:
        """x as `quality` counts it, where that clips it."""
        return image

    def start(self, observation: Observation) -> Tensor:
        """The image that needs no network, (B, C, H, W)."""
        return observation.start

    def picture(self, image: Tensor) -> Tensor:
        """What people are shown of x, (B, C, H, W): gray (B, 1, H, W) or RGB (B, 3, H, W) in [0, 1]."""
        return image.clamp(0, 1)

    def shown(self, image: Tensor, observation: Observation) -> Tensor:
        """The same in colour, where the observation has colours that x has not."""
        return self.picture(image)

    def seen_in_colour(self, observation: Observation) -> Tensor:
        """The same of b as `shown` is of x."""
        return self.seen(observation)

    def seen(self, observation: Observation) -> Tensor:
        """What people are shown of b, (B, 1 or 3, h, w) in [0, 1]: the start, where b itself is no picture."""
        return self.picture(self.start(observation))

    def fit(self, image: Tensor) -> Tensor:
        """A dataset's image cut to a size that can be measured. Raises DataError for one that is too small."""
        return image

    def check(self, image: Tensor, name: str) -> None:  # noqa: B027 (most take every image)
        """Raises DataError, before hours of work, for a dataset's image of which no figure could be counted."""

    def patch_multiple(self) -> int:
        """Sides of training patches are multiples of this."""
        return self.scale or 1

    def radii(self, epsilon: Epsilon, observation: Observation) -> Tensor:
        """The l2 radius of every sample, float64 (B,): `radius` for epsilon=noise."""
        if epsilon.unit == "noise":
            return self.radius(observation)
        return epsilon.radii(observation.measurement, observation.operator)


def described_problem(problem: Problem) -> dict[str, Any]:
    """What a file of weights says of the problem that they were trained on."""
    said = {"problem": problem.name, "protocol": problem.label, "operator": problem.operator_name}
    return said if problem.scale is None else {"scale": problem.scale, **said}


def draws(seed: int, image: Tensor) -> np.random.Generator:
    """Random numbers that are a function of the seed and of this one image: for its mask and its noise."""
    return np.random.default_rng([seed, zlib.crc32(np.ascontiguousarray(image.detach().cpu().numpy()).tobytes())])


def noise(seed: int, images: Tensor, like: Tensor) -> Tensor:
    """Unit Gaussian noise of the shape of the measurements `like` (B, ...), by `draws` of each image."""
    made = [draws(seed, image).standard_normal(tuple(like.shape[1:])) for image in images]
    return torch.from_numpy(np.stack(made)).to(like)
