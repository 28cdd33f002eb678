"""Undersampled Fourier transforms and parallel imaging."""

import numpy as np
import pytest
import torch
from references import dense_matrix, relative_error, uniform

from mcnet_lightning.equilibrium import Reached, project_measurement_ball
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import FourierSampling, RealFourierSampling, Sense
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


ANY = {  # masks of real images: neither k nor -k, one of them, or both; Nyquist frequencies where sides are even
    "some": HALF,
    "symmetric": torch.maximum(HALF, mirrored(HALF)),
    "columns": Cartesian(3, 0.2).mask((6, 8), np.random.default_rng(1)).double(),
    "all": torch.ones(4, 4, dtype=torch.float64),
    "one side": (torch.arange(6) >= 3).double()[:, None].expand(6, 4).clone(),
}


@pytest.mark.parametrize("mask", ANY.values(), ids=ANY.keys())
def test_real_images_are_projected_as_by_the_matrix_of_their_samples(mask: torch.Tensor) -> None:
    """With noise that no real image can have: against singular values, and the secular equation solved by bisection."""
    A, (height, width) = RealFourierSampling(mask), mask.shape
    q, truth = uniform(2, 1, height, width), uniform(2, 1, height, width)
    b = A(truth) + A.measured(0.2 * torch.randn(2, 2, height, width, dtype=torch.float64))
    assert relative_error(A(truth), numpy_kspace(torch.cat([truth, 0 * truth], dim=1)) * mask) <= 1e-14
    matrix = dense_matrix(A, 1, height, width)
    u, d, v = torch.linalg.svd(matrix, full_matrices=False)
    kept = d > 1e-9
    u, d, v = u[:, kept], d[kept], v[kept]
    assert ((d.square() - 1).abs().minimum((d.square() - 0.5).abs()) <= 1e-12).all()
    for i in range(2):
        one = slice(i, i + 1)
        residual = (A(q) - b)[i].flatten()
        inside = u.T @ residual
        beyond = residual.square().sum() - inside.square().sum()
        nearest = project_measurement_ball(q[one], b[one], A, record=lambda missed: None).flatten()
        assert relative_error(nearest, q[i].flatten() - v.T @ (inside / d)) <= 1e-12
        epsilon = float((beyond + 0.3 * inside.square().sum()).sqrt())
        low, high = 0.0, 1e6
        for _ in range(200):
            mu = (low + high) / 2
            left = (inside / (1 + mu * d.square())).square().sum() + beyond
            low, high = (mu, high) if left > epsilon**2 else (low, mu)
        expected = q[i].flatten() - v.T @ (mu * d * inside / (1 + mu * d.square()))
        x = project_measurement_ball(q[one], b[one], A, epsilon)
        assert relative_error(x.flatten(), expected) <= 1e-9
        assert float((A(x) - b[one]).norm()) == pytest.approx(epsilon, rel=1e-9)


def test_the_ball_of_a_real_image_and_noise_that_no_image_can_have_is_told() -> None:
    A = RealFourierSampling(torch.ones(6, 5, dtype=torch.float64))
    b = A(uniform(1, 1, 6, 5)) + torch.randn(1, 2, 6, 5, dtype=torch.float64)
    reached: list[Reached] = []
    x = project_measurement_ball(uniform(1, 1, 6, 5), b, A, 0.1, record=reached.append)
    assert float(reached[0].attainable) == pytest.approx(float((A(x) - b).norm()))
    other = A(x + 0.01 * torch.randn(x.shape, dtype=torch.float64))
    assert float((other - b).norm()) > float(reached[0].attainable)


def test_a_symmetric_mask_of_real_images_gives_the_set_of_complex_ones() -> None:
    mask = ANY["symmetric"]
    q, truth = uniform(2, 1, 6, 5), uniform(2, 1, 6, 5)
    real, complex_ = RealFourierSampling(mask), FourierSampling(mask)
    as_two = [torch.cat([image, torch.zeros_like(image)], dim=1) for image in (q, truth)]
    assert torch.equal(real(q), complex_(as_two[0]))
    for epsilon in (0.0, 0.3):
        x = project_measurement_ball(q, real(truth), real, epsilon)
        y = project_measurement_ball(as_two[0], complex_(as_two[1]), complex_, epsilon)
        assert relative_error(x, y[:, :1]) <= 1e-12
        assert y[:, 1].abs().max() <= 1e-12


def test_real_and_complex_images_are_told_apart() -> None:
    with pytest.raises(ConfigError, match="RealFourierSampling"):
        FourierSampling(HALF)(uniform(1, 1, 6, 5))
    with pytest.raises(ConfigError, match="one channel, got 2"):
        RealFourierSampling(HALF)(uniform(1, 2, 6, 5))


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
