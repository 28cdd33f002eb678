"""Magnetic resonance: complex images, or their magnitudes, from a part of k-space, of one coil or several."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.equilibrium.precision import doubled
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.files.arrays import read_array
from mcnet_lightning.operators import Mask, MeasurementOperator
from mcnet_lightning.operators.base import Size
from mcnet_lightning.operators.fourier import FourierSampling, SymmetricFourierSampling
from mcnet_lightning.operators.sampling import Cartesian, MaskFile, Mixed, PoissonDisc, Radial, Sampling
from mcnet_lightning.operators.sense import Sense, simulated_maps
from mcnet_lightning.problems.base import Problem, draws
from mcnet_lightning.problems.observation import Observation
from mcnet_lightning.problems.quality import ssim_uniform

MASKS = ("cartesian", "radial", "poisson", "mixed")
CENTRE = 0.32  # of fastMRI's masks, in fully sampled columns per column at acceleration 1: 8 % at 4, 4 % at 8
NOISE_OF_COILS = 0.005  # where none is given: without any, several coils make the projection ill-conditioned
WINDOW = 7  # of SSIM


class MRI(Problem):
    """x is complex, two channels, the peak of its magnitude 1; b is M F x + n, or M F S_c x + n of coils c.

    Each image has a mask of its own, drawn by the seed, unless a file gives it. The transform is orthonormal.
    Figures are those of magnitudes, against the peak of the true one; SSIM as scikit-image and fastMRI count it.

    mask: cartesian (columns), radial (lines through the middle), poisson (single samples), mixed (another of these for
        each image, to train a network for all), or a file: a picture or array of the images' size, PATH:NAME where it
        holds several; of k-space that was measured a file, else where it is not zero
    acceleration: of cartesian masks, 1 / share of the columns
    centre: of cartesian masks, share of the columns in the middle that are all measured; null: 0.32 / acceleration
    rate: of radial and poisson masks, share of the samples
    coils: receiving coils, simulated where maps gives none
    maps: file of complex coil maps (coils, H, W), the sum of |S_c|^2 being 1
    noise: standard deviation of real and imaginary part of the samples' noise; null: 0 of one coil, 0.005 of several
    real: x is the magnitude, one channel, for networks of real images; needs a point-symmetric mask and one coil
    size: side of a central crop that is measured; null: the whole image
    """

    name = "mri"
    images = "complex"
    channels = 2
    local = False
    figures = ("psnr", "ssim", "nmse")
    start_name = "zero-filled"
    usual: ClassVar = {"backbone": "unet", "data": "cardiac20"}
    from_files = ("mask", "maps")

    def __init__(
        self,
        mask: Annotated[str, {"path": "file", "words": MASKS}] = "radial",
        acceleration: Annotated[float, {"minimum": 1.0}] = 4.0,
        centre: Annotated[float | None, {"minimum": 0.0, "maximum": 1.0}] = None,
        rate: Annotated[float, {"minimum": 0.0, "exclusive_minimum": True, "maximum": 1.0}] = 0.2,
        coils: Annotated[int, {"minimum": 1}] = 1,
        maps: Annotated[str | None, {"path": "file"}] = None,
        noise: Annotated[float | None, {"minimum": 0.0}] = None,
        real: bool = False,
        size: Annotated[int | None, {"minimum": 16}] = None,
    ) -> None:
        self.sampling: Sampling
        if mask == "cartesian":
            self.sampling = Cartesian(acceleration, CENTRE / acceleration if centre is None else centre)
        elif mask in MASKS:
            self.sampling = {"radial": Radial(rate), "poisson": PoissonDisc(rate), "mixed": Mixed()}[mask]
        else:
            self.sampling = MaskFile(mask)
        self.coils, self.maps, self.real, self.size = coils, maps, real, size
        several = coils > 1 or maps is not None
        if real and several:
            raise ConfigError("problem.real=true has no phase, and coils have; leave it out, or coils and maps")
        self.noise = (NOISE_OF_COILS if several else 0.0) if noise is None else noise
        self.channels = 1 if real else 2

    @property
    def label(self) -> str:
        parts = [self.sampling.name]
        if self.maps is not None:
            parts.append(f"maps:{Path(self.maps.rpartition(':')[0] or self.maps).stem}")
        elif self.coils > 1:
            parts.append(f"{self.coils}coils")
        parts += ["real"] if self.real else []
        parts += [] if self.size is None else [f"crop{self.size}"]
        parts += [f"noise{self.noise:g}"] if self.noise else []
        return "-".join(parts)

    @property
    def operator_name(self) -> str:
        several = self.coils > 1 or self.maps is not None
        kind = "sense" if several else "symmetric-fourier" if self.real else "fourier"
        return f"{kind}-{self.sampling.name}"

    def fit(self, image: Tensor) -> Tensor:
        """The central crop, where one is asked for."""
        if self.size is None:
            return image
        height, width = image.shape[-2:]
        if min(height, width) < self.size:
            raise DataError(f"an image of {height} x {width} pixels has no crop of problem.size={self.size}")
        top, left = (height - self.size) // 2, (width - self.size) // 2
        return image[..., top : top + self.size, left : left + self.size]

    def check(self, image: Tensor, name: str) -> None:
        if not bool(image.any()):
            raise DataError(f"{name} is black: no figure can be counted of it; take it out of the set")

    def observe(self, images: Tensor, seed: int) -> Observation:
        """(B, 2, H, W)."""
        generators = [draws(seed, image) for image in images]
        size = (images.shape[-2], images.shape[-1])
        masks = [self.sampling.mask(size, generator) for generator in generators]
        same = isinstance(self.sampling, MaskFile)
        operator = self.operator(masks[0] if same else torch.stack(masks)[:, None])
        truth = images.norm(dim=1, keepdim=True) if self.real else images
        measurement = operator(truth)
        if self.noise:
            drawn = np.stack([generator.standard_normal(tuple(measurement.shape[1:])) for generator in generators])
            measurement = measurement + self.noise * operator.measured(torch.from_numpy(drawn).to(measurement))
        return self.measured(measurement, operator, truth)

    def measured(self, measurement: Tensor, operator: MeasurementOperator, truth: Tensor) -> Observation:
        """The same of what a scanner measured; `truth` has the images' shape."""
        start = operator.adjoint(measurement, (truth.shape[-2], truth.shape[-1]))
        return Observation(truth, measurement, operator, {"start": start})

    def operator(self, mask: Tensor) -> MeasurementOperator:
        """With a mask (H, W) for all samples, or (B, 1, H, W), one for each."""
        if self.real:
            return SymmetricFourierSampling(mask)
        if self.coils == 1 and self.maps is None:
            return FourierSampling(mask)
        return Sense(self._maps((mask.shape[-2], mask.shape[-1])), mask)

    def _maps(self, size: Size) -> Tensor:
        if self.maps is None:
            return simulated_maps(self.coils, size)
        if tuple(self._read_maps.shape[-2:]) != size:
            raise ConfigError(
                f"problem.maps={self.maps} holds maps of {tuple(self._read_maps.shape[-2:])} for images of {size}"
            )
        return self._read_maps

    @cached_property
    def _read_maps(self) -> Tensor:
        maps = np.squeeze(read_array(self.maps or ""))
        if maps.ndim != 3 or not np.iscomplexobj(maps):
            raise ConfigError(f"problem.maps={self.maps} holds {maps.dtype} {maps.shape}, not complex (coils, H, W)")
        return torch.from_numpy(np.ascontiguousarray(maps)).to(torch.complex64)

    def radius(self, observation: Observation) -> Tensor:
        """sigma sqrt(m) for the m numbers that were measured."""
        operator = observation.operator
        sampling = operator.sampling if isinstance(operator, Sense) else operator
        assert isinstance(sampling, Mask)
        mask = sampling.mask
        shape = (len(observation), 1, *mask.shape[-2:])
        values = mask.cpu().double().expand(shape).flatten(1).sum(1)
        if not self.real:  # of a real image half of the samples are the conjugates of the others
            values = values * (2 * observation.measurement[0, ..., 0, 0, 0].numel())
        return self.noise * values.sqrt()

    def quality(self, estimate: Tensor, truth: Tensor) -> dict[str, Tensor]:
        made, true = (self._magnitude(doubled(image)) for image in (estimate, truth))
        peak = true.amax(dim=(1, 2, 3), keepdim=True)
        error = (made - true).square()
        return {
            "psnr": _psnr(made, true),
            "ssim": ssim_uniform(made / peak, true / peak, WINDOW),
            "nmse": error.sum(dim=(1, 2, 3)) / true.square().sum(dim=(1, 2, 3)),
        }

    def headline(self, estimate: Tensor, truth: Tensor) -> Tensor:
        made, true = (self._magnitude(doubled(image)) for image in (estimate, truth))
        return _psnr(made, true)

    def picture(self, image: Tensor) -> Tensor:
        return self._magnitude(image).clamp(0, 1)

    @staticmethod
    def _magnitude(image: Tensor) -> Tensor:
        """(B, 1, H, W); of a real image what is not negative."""
        return image.clamp(min=0) if image.shape[1] == 1 else image.norm(dim=1, keepdim=True)


def _psnr(made: Tensor, true: Tensor) -> Tensor:
    """Of magnitudes, in dB against the peak of the true one, (B,)."""
    return 10 * torch.log10(true.amax(dim=(1, 2, 3)).square() / (made - true).square().mean(dim=(1, 2, 3)))
