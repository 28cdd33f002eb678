"""Parallel-beam tomography against scikit-image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from references import relative_error, uniform
from skimage.data import shepp_logan_phantom
from skimage.transform import iradon, radon, resize

from mcnet_lightning.equilibrium import project_measurement_ball
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import ParallelBeam, dense_gram
from mcnet_lightning.operators.cache import CONSTANTS


def test_equals_radon_of_images_of_odd_side() -> None:
    image = uniform(1, 1, 33, 33)
    with pytest.warns(UserWarning, match="must be zero outside"):
        expected = radon(image[0, 0].numpy(), np.arange(10) * 18.0).T / 33
    assert relative_error(ParallelBeam(33, 10)(image)[0, 0], torch.from_numpy(expected)) <= 1e-12


def test_filtered_back_projection_equals_iradon_inside_the_circle() -> None:
    phantom = torch.from_numpy(resize(shepp_logan_phantom(), (65, 65), anti_aliasing=True))[None, None]
    A = ParallelBeam(65, 90)
    sinogram = A(phantom)
    found = A.filtered_back_projection(sinogram)[0, 0]
    expected = torch.from_numpy(iradon(65 * sinogram[0, 0].T.numpy(), np.arange(90) * 2.0, circle=True))
    rows, columns = torch.meshgrid(torch.arange(65) - 32, torch.arange(65) - 32, indexing="ij")
    inside = rows**2 + columns**2 <= 30**2
    assert relative_error(found[inside], expected[inside]) <= 0.03  # theirs interpolates, ours is the adjoint
    assert float((found - phantom[0, 0])[inside].square().mean().sqrt()) <= 0.08


def test_one_object_has_one_sinogram_on_every_grid() -> None:
    coarse = torch.nn.functional.avg_pool2d(uniform(1, 1, 64, 64), 8)
    coarse = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bicubic")
    fine = coarse.repeat_interleave(2, -1).repeat_interleave(2, -2)
    measured = torch.nn.functional.avg_pool1d(ParallelBeam(64, 6)(fine)[0], 2)
    assert relative_error(measured, ParallelBeam(32, 6)(coarse)[0]) <= 0.02


def test_batches_channels_and_derivative() -> None:
    A = ParallelBeam(4, 3)
    image = uniform(2, 2, 4, 4).requires_grad_()
    assert A(image).shape == A.measurement_shape((2, 2, 4, 4))
    assert torch.autograd.gradcheck(A, (image,))
    assert torch.autograd.gradcheck(A.adjoint, (A(image).detach().requires_grad_(),))


def test_the_eigenbasis_gives_the_projection_of_the_krylov_method(tmp_path: Path) -> None:
    A = ParallelBeam(12, 5)
    closed = dense_gram(A, (1, 12, 12), tmp_path)
    q, b = uniform(2, 1, 12, 12), A(uniform(2, 1, 12, 12))
    x = project_measurement_ball(q, b, closed, 0.02)
    assert relative_error(x, project_measurement_ball(q, b, A, 0.02)) <= 1e-8
    CONSTANTS.groups.clear()
    assert torch.equal(dense_gram(A, (1, 12, 12), tmp_path).tables["basis"], closed.tables["basis"])


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"7 x 7.*\(6, 7\)"):
        ParallelBeam(7, 3)(uniform(1, 1, 6, 7))
