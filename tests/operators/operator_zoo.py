"""Operators to try things on: every one of the package's, and some that a user might bring, good and bad."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mcnet_lightning.operators import (
    BicubicDownsample,
    BlurDecimation,
    BlurDownsample,
    DenseOperator,
    DiagonalGramOperator,
    FourierSampling,
    Kernel,
    KernelDownsample,
    Mask,
    MeasurementOperator,
    ParallelBeam,
    RealFourierSampling,
    Sense,
    upsample_bicubic,
)
from mcnet_lightning.operators.sense import simulated_maps

Make = Callable[[int], MeasurementOperator]  # of so many samples
KERNEL = torch.tensor([[0.1, 0.0, 0.2], [0.0, 1.5, 0.4], [0.3, 0.1, 0.2]]) / 2.8


class Coils(MeasurementOperator):
    """Complex images, two channels, weighed by three complex maps: (B, 2, H, W) -> (B, 3, 2, H // 2, W), every second
    row seen.
    """

    name = "coils"

    def __init__(self, coils: int = 3, size: tuple[int, int] = (4, 4)) -> None:
        generator = torch.Generator().manual_seed(1)
        maps = torch.randn(coils, *size, 2, generator=generator, dtype=torch.float64)
        self.maps = torch.view_as_complex(maps)

    def measurement_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (image_shape[0], len(self.maps), 2, image_shape[-2] // 2, image_shape[-1])

    def __call__(self, image: Tensor) -> Tensor:
        x = torch.complex(image[:, 0], image[:, 1])
        seen = (self.maps.to(x) * x[:, None])[:, :, ::2]
        return torch.stack([seen.real, seen.imag], dim=2)

    def adjoint(self, measurement: Tensor, image_size: tuple[int, int] | None = None) -> Tensor:
        y = torch.complex(measurement[:, :, 0], measurement[:, :, 1])
        spread = y.new_zeros(len(y), len(self.maps), 2 * y.shape[-2], y.shape[-1])
        spread[:, :, ::2] = y
        x = (self.maps.to(y).conj() * spread).sum(1)
        return torch.stack([x.real, x.imag], dim=1)


class Radon(MeasurementOperator):
    """Sums of an image's rows, columns and both diagonals: (B, C, n, n) -> (B, C, 2 n + 2 (2 n - 1))."""

    name = "radon"

    def __init__(self, size: int) -> None:
        self.applications = 0
        rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
        lines = [rows, size + columns, 2 * size + rows + columns, 4 * size - 1 + rows - columns + size - 1]
        self.matrix = torch.zeros(6 * size - 2, size * size, dtype=torch.float64)
        for line in lines:
            self.matrix[line.flatten(), torch.arange(size * size)] = 1.0

    def measurement_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*image_shape[:-2], len(self.matrix))

    def __call__(self, image: Tensor) -> Tensor:
        self.applications += 1
        return image.flatten(2) @ self.matrix.T.to(image)

    def adjoint(self, measurement: Tensor, image_size: tuple[int, int] | None = None) -> Tensor:
        size = round(self.matrix.shape[1] ** 0.5)
        return (measurement @ self.matrix.to(measurement)).unflatten(-1, (size, size))


class Subsampled(DiagonalGramOperator):
    """A user's mask: five methods, the old contract of images measured as images."""

    name = "subsampled"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def measurement_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        return image_size

    def image_size(self, measurement_size: tuple[int, int]) -> tuple[int, int]:
        return measurement_size

    def __call__(self, image: Tensor) -> Tensor:
        return image * self.mask.to(image)

    def adjoint(self, measurement: Tensor, image_size: tuple[int, int] | None = None) -> Tensor:
        return measurement * self.mask.to(measurement)

    def to_gram_basis(self, measurement: Tensor, image_size: tuple[int, int]) -> Tensor:
        return self(measurement)

    def from_gram_basis(self, coefficients: Tensor, image_size: tuple[int, int]) -> Tensor:
        return coefficients

    def gram_eigenvalues(self, image_size: tuple[int, int], like: Tensor) -> Tensor:
        return self.mask.to(like).expand(like.shape[1:])


class SampleMasks(Subsampled):
    """A user's random masks, one for each sample."""

    def gram_eigenvalues(self, image_size: tuple[int, int], like: Tensor) -> Tensor:
        return self.mask.to(like).expand(like.shape)

    def select(self, index: Tensor) -> "SampleMasks":
        return SampleMasks(self.mask[index])


class Preconditioned(Radon):
    """With the diagonal of t I + A A^T."""

    def precondition(self, measurement: Tensor, image_size: tuple[int, int], shift: Tensor) -> Tensor:
        diagonal = self.matrix.square().sum(1).to(measurement)
        return measurement / (diagonal + shift.to(measurement).view(-1, 1, 1))


def _hide(
    operator: MeasurementOperator,
    adjoint: Callable[[Tensor], Tensor],
    forward: Callable[[Tensor], Tensor] | None = None,
) -> MeasurementOperator:
    class Hidden(MeasurementOperator):
        name = f"hidden-{operator.name}"

        def measurement_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
            return operator.measurement_size(image_size)

        def __call__(self, image: Tensor) -> Tensor:
            return (forward or operator)(image)

        def adjoint(self, measurement: Tensor, image_size: tuple[int, int] | None = None) -> Tensor:
            return adjoint(measurement)

    return Hidden()


def BadTranspose() -> MeasurementOperator:
    """The published code's A^T: an interpolation."""
    operator = BicubicDownsample(2)
    return _hide(operator, lambda y: upsample_bicubic(y, 2))


def Shifted() -> MeasurementOperator:
    operator = BicubicDownsample(2)
    return _hide(operator, operator.adjoint, lambda image: operator(image) + 0.1)


def SquareRoot() -> MeasurementOperator:
    operator = BicubicDownsample(2)
    return _hide(operator, operator.adjoint, lambda image: operator(image).abs().sqrt())


def with_blurred_columns(batch: int) -> DenseOperator:
    return DenseOperator(torch.randn(batch, 7, 2 * 3 * 4, generator=torch.Generator().manual_seed(2)), (2, 3, 4))


def physics(name: str, *arguments: object, **settings: object) -> Make:
    """A `deepinv.physics` object through the adapter."""

    def make(batch: int) -> MeasurementOperator:
        deepinv = pytest.importorskip("deepinv", reason="deepinv is not installed (extra bench)")
        from mcnet_lightning.operators.physics import operator_of

        built = getattr(deepinv.physics, name)(*arguments, **settings)
        return operator_of(built, IMAGES[name])

    return make


IMAGES = {"Inpainting": (1, 6, 5), "MRI": (2, 6, 8), "Tomography": (1, 12, 12), "SinglePixelCamera": (1, 8, 8)}
MASKS = (torch.rand(3, 1, 6, 5, generator=torch.Generator().manual_seed(3)) > 0.4).double()
MAPS = torch.stack([simulated_maps(3, (6, 5), seed) for seed in range(3)]).to(torch.complex128)
ROWS = (torch.arange(6) % 2 == 0).float()[:, None].expand(6, 8)
OWN = [
    *(
        pytest.param(lambda batch, A=A: A, shape, id=name)
        for name, A, shape in (
            ("bicubic", BicubicDownsample(2), (2, 8, 10)),
            ("bicubic-symmetric", BicubicDownsample(3, "symmetric"), (1, 10, 13)),
            ("kernel", KernelDownsample(2, Kernel("gaussian", 1.0)), (1, 8, 10)),
            ("blur", BlurDownsample(KERNEL, 1), (1, 6, 8)),
            ("blur-x2", BlurDownsample(KERNEL, 2), (3, 6, 8)),
            ("blur and decimation", BlurDecimation(), (1, 12, 9)),
            ("mask", Mask(MASKS[0, 0]), (2, 6, 5)),
            ("fourier", FourierSampling(MASKS[1, 0]), (2, 6, 5)),
            ("real fourier", RealFourierSampling(MASKS[1, 0]), (1, 6, 5)),
            ("coils", Sense(MAPS[0], MASKS[0, 0]), (2, 6, 5)),
            ("parallel beam", ParallelBeam(7, 4), (1, 7, 7)),
            (
                "dense",
                DenseOperator(torch.randn(9, 24, generator=torch.Generator().manual_seed(1)), (2, 3, 4)),
                (2, 3, 4),
            ),
        )
    ),
    pytest.param(lambda batch: Mask(MASKS[:batch]), (2, 6, 5), id="masks per sample"),
    pytest.param(lambda batch: FourierSampling(MASKS[:batch]), (2, 6, 5), id="fourier per sample"),
    pytest.param(lambda batch: RealFourierSampling(MASKS[:batch]), (1, 6, 5), id="real fourier per sample"),
    pytest.param(lambda batch: Sense(MAPS[:batch], MASKS[:batch]), (2, 6, 5), id="coils per sample"),
    pytest.param(with_blurred_columns, (2, 3, 4), id="dense per sample"),
]
FOREIGN = [
    pytest.param(lambda batch: Coils(), (2, 4, 4), id="user's coils"),
    pytest.param(lambda batch: Radon(6), (1, 6, 6), id="radon"),
    pytest.param(lambda batch: Preconditioned(6), (1, 6, 6), id="preconditioned"),
    pytest.param(lambda batch: Subsampled(MASKS[1, 0]), (2, 6, 5), id="user's mask"),
    pytest.param(lambda batch: SampleMasks(MASKS[:batch]), (2, 6, 5), id="user's masks per sample"),
    pytest.param(physics("Inpainting", (1, 6, 5), mask=MASKS[2].float()), (1, 6, 5), id="deepinv in-painting"),
    pytest.param(physics("MRI", mask=ROWS, img_size=(2, 6, 8)), (2, 6, 8), id="deepinv MRI"),
    pytest.param(
        physics("Tomography", angles=4, normalize=True, img_width=12, adjoint_via_backprop=True),
        (1, 12, 12),
        id="deepinv tomography",
    ),
]
