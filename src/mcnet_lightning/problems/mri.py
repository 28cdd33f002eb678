"""Magnetic resonance: complex images, or their magnitudes, from a part of k-space, of one coil or several."""

from functools import cached_property
from typing import Annotated, ClassVar

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.equilibrium.precision import doubled
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.files.arrays import complex_of, read_array
from mcnet_lightning.files.naming import file_of
from mcnet_lightning.operators import Mask, MeasurementOperator
from mcnet_lightning.operators.base import Size
from mcnet_lightning.operators.fourier import FourierSampling, RealFourierSampling, as_channels, fourier
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
    Figures are those of magnitudes, against the peak of the true one; SSIM as scikit-image and fastMRI count it. SNR
    alone counts the values themselves, with sign and phase: ||x||^2 over the squared error.

    mask: cartesian (columns), radial (lines through the middle), poisson (single samples), mixed (another of these for
        each image, to train a network for all), or a file: a picture or array of the images' size, PATH:NAME where it
        holds several; of k-space that was measured a file, else where it is not zero
    acceleration: of cartesian masks, 1 / share of the columns
    centre: of cartesian masks, share of the columns in the middle that are all measured; null: 0.32 / acceleration
    rate: of radial and poisson masks, share of the samples
    coils: receiving coils, simulated where maps gives none
    maps: file of complex coil maps (coils, H, W), the sum of |S_c|^2 being 1
    noise: standard deviation of real and imaginary part of the samples' noise; null: 0 of one coil, 0.005 of several
    noise_file: file of the noise itself, the same for every image, complex (H, W) or (coils, H, W), PATH:NAME where it
        holds several; its zero frequency lies where that of the mask's file does
    noise_factor: what the numbers of noise_file are multiplied by: 1 / sqrt(H W) for those of a transform without norm
    real: x is the magnitude, one channel, for networks of real images; of one coil
    size: side of a central crop that is measured; null: the whole image
    """

    name = "mri"
    images = "complex"
    channels = 2
    local = False
    figures = ("psnr", "ssim", "nmse", "snr")
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
        noise_file: Annotated[str | None, {"path": "file"}] = None,
        noise_factor: Annotated[float, {"minimum": 0.0, "exclusive_minimum": True}] = 1.0,
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
        if noise is not None and noise_file is not None:
            raise ConfigError("problem.noise draws noise, and problem.noise_file is noise; leave one of them out")
        drawn = NOISE_OF_COILS if several and noise_file is None else 0.0
        self.noise = drawn if noise is None else noise
        self.noise_file, self.noise_factor = noise_file, noise_factor
        self.channels = 1 if real else 2

    @property
    def label(self) -> str:
        parts = [self.sampling.name]
        if self.maps is not None:
            parts.append(f"maps:{_stem(self.maps)}")
        elif self.coils > 1:
            parts.append(f"{self.coils}coils")
        parts += ["real"] if self.real else []
        parts += [] if self.size is None else [f"crop{self.size}"]
        parts += [f"noise{self.noise:g}"] if self.noise else []
        if self.noise_file is not None:
            parts.append(f"noise:{_stem(self.noise_file)}x{self.noise_factor:g}")
        return "-".join(parts)

    @property
    def operator_name(self) -> str:
        several = self.coils > 1 or self.maps is not None
        kind = "sense" if several else "real-fourier" if self.real else "fourier"
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
        if self.noise_file is not None:
            measurement = measurement + self._noise_of(measurement, operator)
        elif self.noise:
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
            return RealFourierSampling(mask)
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

    def _noise_of(self, measurement: Tensor, operator: MeasurementOperator) -> Tensor:
        """That of the file, where something was measured."""
        if self._read_noise.shape != measurement.shape[1:]:
            raise ConfigError(
                f"problem.noise_file={self.noise_file} holds noise for samples {tuple(self._read_noise.shape)}, "
                f"and those of one image are {tuple(measurement.shape[1:])}"
            )
        return operator.measured(self._read_noise.to(measurement).expand_as(measurement))

    @cached_property
    def _read_noise(self) -> Tensor:
        """(2, H, W) or (coils, 2, H, W), float64, of the centred, orthonormal transform."""
        values = complex_of(np.squeeze(read_array(self.noise_file or "")), "the array of problem.noise_file")
        if values.ndim not in (2, 3) or not np.isfinite(values).all():
            raise ConfigError(f"problem.noise_file={self.noise_file} is no noise, but {values.shape}, or not finite")
        noise = self.noise_factor * torch.from_numpy(np.ascontiguousarray(values))
        return as_channels(fourier(torch.fft.ifft2(noise, norm="ortho")) if self.sampling.corner else noise, dim=-3)

    def radius(self, observation: Observation) -> Tensor:
        """sigma sqrt(m) for the m numbers that were measured; of noise in a file its norm."""
        operator = observation.operator
        if self.noise_file is not None:
            return self._noise_of(doubled(observation.measurement), operator).flatten(1).norm(dim=1).cpu()
        sampling = operator.sampling if isinstance(operator, Sense) else operator
        assert isinstance(sampling, Mask)
        samples = sampling.mask.cpu().double().expand(len(observation), 1, *sampling.mask.shape[-2:]).flatten(1).sum(1)
        return self.noise * (samples * (2 * observation.measurement[0, ..., 0, 0, 0].numel())).sqrt()

    def quality(self, estimate: Tensor, truth: Tensor) -> dict[str, Tensor]:
        made, true = (self._magnitude(doubled(image)) for image in (estimate, truth))
        peak = true.amax(dim=(1, 2, 3), keepdim=True)
        error = (made - true).square()
        return {
            "psnr": _psnr(made, true),
            "ssim": ssim_uniform(made / peak, true / peak, WINDOW),
            "nmse": error.sum(dim=(1, 2, 3)) / true.square().sum(dim=(1, 2, 3)),
            "snr": _decibel(doubled(truth), doubled(estimate) - doubled(truth)),
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


def _decibel(signal: Tensor, error: Tensor) -> Tensor:
    """The energy of one over that of the other, (B,)."""
    return 10 * torch.log10(signal.square().sum(dim=(1, 2, 3)) / error.square().sum(dim=(1, 2, 3)))


def _stem(file: str) -> str:
    """The name of a file without its ending, also of PATH:NAME."""
    return file_of(file).stem
