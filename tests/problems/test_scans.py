"""Problems of scans: the same measurement for the same seed and image, noise of the size that is said, figures by
scikit-image, simulated on another grid than the result's.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from references import mask_of
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.problems import Observation, Problem
from mcnet_lightning.problems.ct import CT
from mcnet_lightning.problems.mri import MRI

SIZE = 32
KINDS: list[dict[str, Any]] = [
    {"mask": "radial", "rate": 0.3},
    {"mask": "cartesian", "noise": 0.01},
    {"mask": "poisson", "rate": 0.3, "noise": 0.02},
    {"mask": "radial", "real": True, "noise": 0.02},
    {"mask": "cartesian", "real": True, "noise": 0.02},
    {"mask": "cartesian", "coils": 4},
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path / "cache"))


def complex_images(count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 2, SIZE, SIZE, generator=generator, dtype=torch.float64)
    return images / images.norm(dim=1).amax(dim=(1, 2))[:, None, None, None]


def slices(count: int = 2, size: int = 2 * SIZE) -> Tensor:
    """Smooth bodies in Hounsfield units."""
    grid = torch.linspace(-1, 1, size, dtype=torch.float64)
    centres = [0.1 * number for number in range(count)]
    bodies = [torch.exp(-3 * ((grid[:, None] - centre) ** 2 + grid**2)) for centre in centres]
    return 1500 * torch.stack(bodies)[:, None] - 1000


def distance(observation: Observation) -> Tensor:
    missed = observation.operator(observation.truth) - observation.measurement
    return missed.flatten(1).norm(dim=1)


@pytest.mark.parametrize("settings", KINDS)
def test_a_measurement_is_a_function_of_seed_and_image_alone(settings: dict[str, Any]) -> None:
    problem, images = MRI(**settings), complex_images()
    together, alone = problem.observe(images, 3), problem.observe(images[1:], 3)
    torch.testing.assert_close(together.measurement[1:], alone.measurement)
    chosen = together.select(torch.tensor([1]))
    torch.testing.assert_close(chosen.operator(chosen.truth), alone.operator(alone.truth))
    assert not torch.equal(problem.observe(images, 4).measurement, together.measurement)
    torch.testing.assert_close(problem.start(together), together.operator.adjoint(together.measurement, (SIZE, SIZE)))


@pytest.mark.parametrize("settings", KINDS)
def test_the_radius_is_what_the_noise_leads_one_to_expect(settings: dict[str, Any]) -> None:
    problem = MRI(**settings)
    observation = problem.observe(complex_images(8), 0)
    ratio = distance(observation).square().sum() / problem.radius(observation).square().sum()
    if problem.noise:
        assert ratio.sqrt().item() == pytest.approx(1, abs=0.05)
    else:
        assert not problem.radius(observation).any()
        assert distance(observation).max() < 1e-12


def test_the_samples_are_those_of_numpys_transform() -> None:
    problem, images = MRI("radial", rate=0.4), complex_images(1)
    observation = problem.observe(images, 0)
    image = images[0, 0].numpy() + 1j * images[0, 1].numpy()
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho"))
    b = observation.measurement[0].numpy()
    seen = mask_of(observation)[0, 0].numpy() == 1
    np.testing.assert_allclose((b[0] + 1j * b[1])[seen], spectrum[seen], atol=1e-12)
    assert seen.mean() == pytest.approx(0.4, abs=0.05)
    assert not b[:, ~seen].any()


def test_figures_are_those_of_magnitudes_by_scikit_image() -> None:
    truth = 0.8 * complex_images(1)
    estimate = truth + 0.05 * complex_images(2)[1:]
    found = MRI().quality(estimate, truth)
    x, y = (image[0].norm(dim=0).numpy() for image in (truth, estimate))
    assert found["psnr"].item() == pytest.approx(peak_signal_noise_ratio(x, y, data_range=x.max()))
    assert found["ssim"].item() == pytest.approx(structural_similarity(x, y, data_range=x.max()))
    assert found["nmse"].item() == pytest.approx(((x - y) ** 2).sum() / (x**2).sum())


def test_snr_counts_signs_and_phases() -> None:
    truth = 0.8 * complex_images(1)
    assert MRI().quality(-truth, truth)["snr"].item() == pytest.approx(10 * math.log10(1 / 4))
    real = torch.linspace(0, 1, SIZE * SIZE, dtype=torch.float64).view(1, 1, SIZE, SIZE)
    found = MRI(real=True).quality(real - 0.1, real)
    assert found["snr"].item() == pytest.approx(10 * math.log10(float(real.square().mean()) / 0.01))
    assert found["psnr"].item() > 20  # what is negative counts as black there


@pytest.mark.parametrize("real", [False, True])
def test_noise_of_a_file_makes_the_measurement_of_numpys_transform(tmp_path: Path, real: bool) -> None:
    """Files as of Ryu et al.: zero frequency and origin in the corner, a transform without norm."""
    generator = np.random.default_rng(0)
    rows, columns = (np.abs(np.fft.fftfreq(SIZE)) for _ in range(2))
    mask = (generator.random((SIZE, SIZE)) < np.exp(-8 * (rows[:, None] + columns))).astype(np.uint8)
    noise = generator.standard_normal((SIZE, SIZE)) + 1j * generator.standard_normal((SIZE, SIZE))
    np.savez(tmp_path / "files.npz", mask=mask, noise=noise)
    file = tmp_path / "files.npz"
    problem = MRI(f"{file}:mask", noise_file=f"{file}:noise", noise_factor=3 / SIZE, real=real)
    observation = problem.observe(complex_images(), 0)

    def complex_of(image: Tensor) -> Any:
        return image[:, 0].numpy() if real else (image[:, 0] + 1j * image[:, 1]).numpy()

    y = (np.fft.fft2(complex_of(observation.truth)) + 3 * noise) * mask
    other = torch.rand(observation.truth.shape, dtype=torch.float64)
    expected = np.linalg.norm((np.fft.fft2(complex_of(other)) - y) * mask, axis=(1, 2)) / SIZE
    distances = (observation.operator(other) - observation.measurement).flatten(1).norm(dim=1)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)
    start = np.fft.ifft2(y).real if real else np.fft.ifft2(y)
    np.testing.assert_allclose(complex_of(observation.start), start, atol=1e-12)
    torch.testing.assert_close(problem.radius(observation), distance(observation), rtol=1e-9, atol=0)
    np.testing.assert_allclose(problem.radius(observation), np.linalg.norm(3 * noise * mask) / SIZE, rtol=1e-9)
    assert "noise:files" in problem.label


def test_noise_of_a_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "small.npy", np.ones((4, 4), complex))
    np.save(tmp_path / "levels.npy", np.ones((SIZE, SIZE)))
    np.save(tmp_path / "broken.npy", np.full((SIZE, SIZE), np.nan, complex))
    with pytest.raises(ConfigError, match=r"small\.npy holds noise for samples \(2, 4, 4\)"):
        MRI(noise_file=str(tmp_path / "small.npy")).observe(complex_images(), 0)
    with pytest.raises(DataError, match=r"problem\.noise_file .*real numbers"):
        MRI(noise_file=str(tmp_path / "levels.npy")).observe(complex_images(), 0)
    with pytest.raises(ConfigError, match="not finite"):
        MRI(noise_file=str(tmp_path / "broken.npy")).observe(complex_images(), 0)
    with pytest.raises(ConfigError, match="leave one of them out"):
        MRI(noise=0.1, noise_file=str(tmp_path / "small.npy"))


def test_a_mask_of_a_file_is_that_of_every_image(tmp_path: Path) -> None:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[:, SIZE // 2 - 4 : SIZE // 2 + 4] = 1
    np.save(tmp_path / "columns.npy", mask)
    problem = MRI(str(tmp_path / "columns.npy"))
    observation = problem.observe(complex_images(), 0)
    assert "columns" in problem.label
    assert observation.operator.select(torch.tensor([0])) is observation.operator
    assert observation.measurement.abs().sum(dim=(0, 1, 2)).count_nonzero() == 8


def test_coils_have_a_noise_and_real_images_have_none_of_them() -> None:
    assert MRI(coils=8).noise > 0
    with pytest.raises(ConfigError, match=r"problem\.real=true has no phase"):
        MRI(coils=2, real=True)


def test_own_coil_maps_are_taken(tmp_path: Path) -> None:
    maps = np.full((2, SIZE, SIZE), math.sqrt(0.5), np.complex64)
    np.save(tmp_path / "maps.npy", maps)
    problem = MRI(maps=str(tmp_path / "maps.npy"), noise=0.0)
    observation = problem.observe(complex_images(1), 0)
    single = MRI(noise=0.0).observe(complex_images(1), 0)
    torch.testing.assert_close(observation.measurement[:, 1], math.sqrt(0.5) * single.measurement, rtol=1e-6, atol=1e-6)


def test_sums_of_a_gaussian_body_are_its_integrals_along_lines() -> None:
    views, fine = 12, 2 * SIZE
    along = (torch.arange(fine, dtype=torch.float64) - (fine - 1) / 2) / fine  # the image's side is 1
    body = torch.exp(-48 * (along[:, None] ** 2 + along**2))
    b = CT(views, noise=0.0).observe(2000 * body[None, None] - 1000, 0).measurement[0, 0]
    detectors = (torch.arange(SIZE, dtype=torch.float64) - (SIZE - 1) / 2) / SIZE
    expected = math.sqrt(math.pi / 48) * torch.exp(-48 * detectors**2)
    torch.testing.assert_close(b, expected.expand(views, SIZE), rtol=0, atol=0.01 * expected.max().item())


def test_no_measurement_is_made_on_the_grid_of_the_result() -> None:
    problem = CT(20, noise=0.0)
    observation = problem.observe(slices(), 0)
    assert observation.truth.shape == (2, 1, SIZE, SIZE)
    relative = distance(observation) / observation.measurement.flatten(1).norm(dim=1)
    assert (relative > 1e-5).all()
    assert (distance(observation) < problem.radius(observation)).all()


def test_the_radius_of_tomography_holds_noise_too() -> None:
    problem = CT(20, noise=0.05)
    observation = problem.observe(slices(4), 0)
    assert (distance(observation) / problem.radius(observation)).mean().item() == pytest.approx(1, abs=0.05)
    again = problem.observe(slices(4)[2:3], 0)
    torch.testing.assert_close(observation.measurement[2:3], again.measurement)


def test_slices_are_cropped_averaged_and_refused() -> None:
    assert CT(size=16).fit(torch.zeros(1, 70, 66)).shape == (1, 32, 32)
    assert CT().fit(torch.zeros(1, 70, 65)).shape == (1, 64, 64)
    with pytest.raises(DataError, match=r"problem\.size=64"):
        CT(size=64).fit(torch.zeros(1, 70, 66))
    assert MRI(size=16).fit(torch.zeros(2, 20, 33)).shape == (2, 16, 16)
    with pytest.raises(DataError, match=r"problem\.size=32"):
        MRI(size=32).fit(torch.zeros(2, 20, 33))


@pytest.mark.parametrize("problem", [MRI(), MRI(real=True), CT()])
def test_people_are_shown_pictures(problem: Problem) -> None:
    images = slices() if problem.images == "hounsfield" else complex_images()
    observation = problem.observe(images, 0)
    assert observation.truth.shape[1] == problem.channels
    for shown in (problem.picture(observation.truth), problem.seen(observation)):
        assert shown.shape[1] == 1
        assert shown.min() >= 0
        assert shown.max() <= 1
