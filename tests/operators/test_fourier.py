"""Undersampled Fourier transforms and parallel imaging."""

import numpy as np
import pytest
import torch
from references import dense_matrix, relative_error, uniform

from mcnet_lightning.equilibrium import project_measurement_ball
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import FourierSampling, Sense, SymmetricFourierSampling
from mcnet_lightning.operators.fourier import as_complex, mirrored
from mcnet_lightning.operators.sampling import Cartesian, Radial
from mcnet_lightning.operators.sense import simulated_maps

HALF = (torch.rand(6, 5, generator=torch.Generator().manual_seed(3)) > 0.5).double()


def numpy_kspace(image: torch.Tensor) -> torch.Tensor:
    x = (image[:, 0] + 1j * image[:, 1]).numpy()
    y = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(x, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    return torch.from_numpy(np.stack([y.real, y.imag], axis=1))


def test_equals_numpy_where_the_mask_is_one() -> None:
    image = uniform(2, 2, 6, 5)
    expected = numpy_kspace(image) * HALF
    assert relative_error(FourierSampling(HALF)(image), expected) <= 1e-14


def test_gram_is_the_mask_of_each_sample() -> None:
    masks = torch.stack([HALF, 1 - HALF])[:, None]
    b = uniform(2, 2, 6, 5)
    assert relative_error(FourierSampling(masks).gram(b, (6, 5)), b * masks) <= 1e-14


def test_projection_replaces_the_samples_and_nothing_else() -> None:
    A = FourierSampling(HALF)
    q, b = uniform(2, 2, 6, 5), uniform(2, 2, 6, 5)
    kept = numpy_kspace(project_measurement_ball(q, b, A))
    assert relative_error(kept, b * HALF + numpy_kspace(q) * (1 - HALF)) <= 1e-13


def test_a_symmetric_mask_of_real_images_gives_the_set_of_the_samples_themselves() -> None:
    mask = torch.maximum(HALF, mirrored(HALF))
    q, truth = uniform(2, 1, 6, 5), uniform(2, 1, 6, 5)
    real, complex_ = SymmetricFourierSampling(mask), FourierSampling(mask)
    as_two = [torch.cat([image, torch.zeros_like(image)], dim=1) for image in (q, truth)]
    assert relative_error(real(q).flatten(1).norm(dim=1), complex_(as_two[0]).flatten(1).norm(dim=1)) <= 1e-14
    matrix = dense_matrix(real, 1, 6, 5)
    assert relative_error(matrix @ matrix, matrix) <= 1e-13
    assert relative_error(matrix.T, matrix) <= 1e-13
    for epsilon in (0.0, 0.3):
        x = project_measurement_ball(q, real(truth), real, epsilon)
        y = project_measurement_ball(as_two[0], complex_(as_two[1]), complex_, epsilon)
        assert relative_error(x, y[:, :1]) <= 1e-12
        assert y[:, 1].abs().max() <= 1e-12


def test_real_images_need_a_symmetric_mask() -> None:
    with pytest.raises(ConfigError, match="point-symmetric"):
        SymmetricFourierSampling(HALF)
    with pytest.raises(ConfigError, match="point-symmetric"):
        FourierSampling(HALF)(uniform(1, 1, 6, 5))


def test_coils_equal_their_maps_times_the_image_in_numpy() -> None:
    maps, image = simulated_maps(4, (6, 5)).to(torch.complex128), uniform(2, 2, 6, 5)
    measured = Sense(maps, HALF)(image)
    for coil in range(4):
        seen = maps[coil] * as_complex(image)
        expected = numpy_kspace(torch.stack([seen.real, seen.imag], dim=1)) * HALF
        assert relative_error(measured[:, coil], expected) <= 1e-14


@pytest.mark.parametrize("coils", [4, 8])
def test_the_projection_on_coils_is_that_of_their_matrix(coils: int) -> None:
    """Twofold undersampling, without noise: the least-squares image, as far from q as need be and no farther."""
    size = (10, 12)
    A = Sense(simulated_maps(coils, size).to(torch.complex128), Cartesian(2, 0.2).mask(size, np.random.default_rng(0)))
    q, b = uniform(1, 2, *size), A(uniform(1, 2, *size))
    x = project_measurement_ball(q, b, A)
    assert relative_error(A(x), b) <= 1e-10
    matrix = dense_matrix(A, 2, *size)
    expected = q - (torch.linalg.pinv(matrix) @ (A(q) - b).flatten()).view(q.shape)
    assert relative_error(x, expected) <= 1e-6


@pytest.mark.parametrize("coils", [4, 8])
def test_noisy_coils_are_met_to_four_digits_in_single_precision(coils: int) -> None:
    size = (48, 40)
    A = Sense(simulated_maps(coils, size), Cartesian(4, 0.08).mask(size, np.random.default_rng(0)))
    truth = torch.nn.functional.interpolate(uniform(2, 2, 6, 5).float(), size=size, mode="bicubic")
    noise = A.measured(0.01 * torch.randn(2, coils, 2, *size))
    b, epsilon = A(truth) + noise, noise.flatten(1).norm(dim=1)
    start = A.adjoint(b)
    x = project_measurement_ball(start, b, A, epsilon)
    assert torch.allclose((A(x) - b).flatten(1).norm(dim=1), epsilon, rtol=1e-4)
    assert relative_error(x, truth) < relative_error(start, truth)


def test_maps_have_unit_energy_and_come_from_their_seed() -> None:
    maps = simulated_maps(8, (20, 30), seed=5)
    assert torch.allclose(maps.abs().square().sum(0), torch.ones(20, 30), atol=1e-5)
    assert torch.equal(maps, simulated_maps(8, (20, 30), seed=5))
    assert not torch.equal(maps, simulated_maps(8, (20, 30), seed=6))


def test_maps_and_masks_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="complex"):
        Sense(torch.ones(3, 6, 5), HALF)
    with pytest.raises(ConfigError, match=r"\(6, 6\).*\(6, 5\)"):
        Sense(torch.ones(3, 6, 6, dtype=torch.complex64), HALF)


def test_a_sample_does_not_depend_on_its_batch_mates() -> None:
    masks = torch.stack([Radial(0.3).mask((16, 16), np.random.default_rng(seed)) for seed in range(3)])[
        :, None
    ].double()
    A = FourierSampling(masks)
    q, b = uniform(3, 2, 16, 16), A(uniform(3, 2, 16, 16))
    together = project_measurement_ball(q, b, A, 0.1)
    for i in range(3):
        index = torch.tensor([i])
        assert torch.equal(together[index], project_measurement_ball(q[index], b[index], A.select(index), 0.1))
