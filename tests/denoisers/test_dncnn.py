"""The denoiser's parameterisations, and what its norms promise."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from references import dense_jacobian, norms, relative_error, uniform
from torch import Tensor

from mcnet_lightning.denoisers import DnCNN, convolution_norm_bound
from mcnet_lightning.errors import ConfigError

PARAMETERISATIONS = ["noise_residual", "averaged", "direct"]
each_parameterisation = pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)


def denoiser(offset: float = 0.1, **options: Any) -> DnCNN:
    network = DnCNN(**{"depth": 4, "channels": 6, **options}).double()
    with torch.no_grad():
        network.offset.fill_(offset)
    return network.eval()


def vectors(network: DnCNN) -> list[Tensor]:
    """What the power iteration of every norm has reached."""
    return [buffer.clone() for name, buffer in network.named_buffers() if name.endswith("vector")]


def lipschitz_denoiser(**options: Any) -> DnCNN:
    """With N certainly 1-Lipschitz, and as close to that as the certificate allows."""
    network = denoiser(spectral_norm=False, **options)
    with torch.no_grad():
        for weight in network.weights:
            weight /= convolution_norm_bound(weight)
    return network


def chain(image: Tensor, weights: list[Tensor], biases: list[Tensor] | None = None) -> Tensor:
    added = [weight.new_zeros(len(weight)) for weight in weights] if biases is None else biases
    for weight, bias in zip(weights[:-1], added[:-1], strict=True):
        image = F.conv2d(image, weight, padding=1).add(bias.view(-1, 1, 1)).clamp_min(0)
    return F.conv2d(image, weights[-1], padding=1) + added[-1].view(-1, 1, 1)


@each_parameterisation
def test_formula(parameterisation: str) -> None:
    R, v = denoiser(parameterisation=parameterisation, averaging=0.3), uniform(2, 1, 7, 9)
    N = chain(v - 0.1, R.effective_weights())
    expected = {"noise_residual": v - N, "averaged": 0.7 * v + 0.3 * N, "direct": N}[parameterisation]
    assert relative_error(R(v), expected) <= 1e-14


@each_parameterisation
def test_formula_with_biases(parameterisation: str) -> None:
    R, v = denoiser(parameterisation=parameterisation, averaging=0.3, bias=True), uniform(2, 1, 7, 9)
    with torch.no_grad():
        for bias in R.biases or []:
            bias.copy_(0.1 * torch.randn_like(bias))
    N = chain(v - 0.1, R.effective_weights(), list(R.biases or []))
    expected = {"noise_residual": v - N, "averaged": 0.7 * v + 0.3 * N, "direct": N}[parameterisation]
    assert relative_error(R(v), expected) <= 1e-14
    gradients = torch.autograd.grad(R(v).square().sum(), list(R.biases or []))
    assert all(bool(gradient.any()) for gradient in gradients)


def test_biases_are_told_only_where_there_are_some() -> None:
    """Files and checkpoints of before say nothing of them."""
    assert "bias" not in denoiser().hyperparameters
    told = denoiser(bias=True).hyperparameters
    assert set(DnCNN(**told).state_dict()) == set(denoiser(bias=True).state_dict())


def test_biases_change_no_bound() -> None:
    torch.manual_seed(0)
    plain = denoiser().certificate()
    torch.manual_seed(0)
    assert denoiser(bias=True).certificate() == plain


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_any_depth_keeps_the_shape(depth: int) -> None:
    v = torch.rand(2, 3, 5, 8)
    assert DnCNN(depth, 4, image_channels=3)(v).shape == v.shape


def test_around_its_offset_the_network_is_homogeneous() -> None:
    """So a constant shift does what rescaling by the image's extremes did."""
    R, d = denoiser(offset=0.2), uniform(1, 1, 7, 9) - 0.5
    shrunk = R(0.2 + 1e-3 * d) - 0.2
    assert relative_error(shrunk, 1e-3 * (R(0.2 + d) - 0.2)) <= 1e-12


def test_autocast_spares_the_first_and_last_convolution() -> None:
    """A network of these two alone does not notice autocast; one with more between them does, a little."""
    v = torch.rand(1, 1, 8, 8)
    for depth, tolerance in ((2, 0.0), (4, 0.02)):
        R = denoiser(depth=depth, parameterisation="direct").float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = R(v)
        assert half.dtype == torch.float32
        assert relative_error(half, R(v)) <= tolerance


def test_input_is_left_untouched() -> None:
    v = uniform(1, 1, 6, 6)
    before = v.clone()
    denoiser(rescale="per_sample")(v)
    assert torch.equal(v, before)


def test_effective_convolutions_have_norm_one_after_training_steps() -> None:
    R = denoiser().train()
    for _ in range(200):
        weights = R.effective_weights()
    bounds = [convolution_norm_bound(weight) for weight in weights]
    assert bounds == pytest.approx([1] * 4, abs=0.02)


def test_training_advances_the_power_iteration_once_per_solve() -> None:
    R, v = denoiser().train(), uniform(1, 1, 6, 6)
    denoise, before = R.bind(), vectors(R)
    first = denoise(v)
    assert torch.equal(denoise(v), first)
    assert all(torch.equal(now, then) for now, then in zip(vectors(R), before, strict=True))
    R.bind()
    assert not any(torch.equal(now, then) for now, then in zip(vectors(R), before, strict=True))


@each_parameterisation
def test_folding_leaves_the_output_as_it_is(parameterisation: str) -> None:
    R, v = denoiser(parameterisation=parameterisation), uniform(1, 1, 7, 9)
    before = R(v)
    for _ in range(2):  # twice is once
        R.fold()
        assert relative_error(R(v), before) <= 1e-14
    assert not any("norms" in name for name in R.state_dict())


@pytest.mark.parametrize("averaging", [0.1, 0.5])
def test_averaged_with_a_1_lipschitz_network_is_firmly_non_expansive(averaging: float) -> None:
    R = lipschitz_denoiser(parameterisation="averaged", averaging=averaging)
    a, b = uniform(64, 1, 8, 8), uniform(64, 1, 8, 8)
    b[32:] = a[32:] + 1e-4 * torch.randn_like(a[32:])
    moved, left = R(a) - R(b), (a - R(a)) - (b - R(b))
    assert (norms(moved) ** 2 + norms(left) ** 2 <= norms(a - b) ** 2 * (1 + 1e-12)).all()


def test_rescaled_sample_does_not_depend_on_its_batch_mates() -> None:
    R, v = denoiser(rescale="per_sample"), uniform(3, 1, 7, 9)
    v[1] = 100 * v[1] - 50
    assert relative_error(R(v)[[0]], R(v[[0]])) <= 1e-14


def test_rescaling_makes_the_denoiser_ignore_range_and_level() -> None:
    R, v = denoiser(rescale="per_sample"), uniform(1, 1, 7, 9)
    assert relative_error(R(5 * v - 2), 5 * R(v) - 2) <= 1e-13


def test_rescaling_is_that_of_the_published_model() -> None:
    """v to [-m/2, 1 + m/2] with m = 0.09375, u = v - N(v), and back."""
    R, v = denoiser(offset=0.0, rescale="per_sample"), uniform(1, 1, 7, 9)
    low, high, m = v.min(), v.max(), 0.09375
    scaled = (v - low) / (high - low) * (1 + m) - m / 2
    cleaned = scaled - chain(scaled, R.effective_weights())
    assert relative_error(R(v), (cleaned + m / 2) / (1 + m) * (high - low) + low) <= 1e-13


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_rescaling_of_a_constant_image_is_finite(level: float) -> None:
    v = torch.full((1, 1, 6, 6), level, requires_grad=True)
    result = denoiser(rescale="per_sample").float()(v)
    (gradient,) = torch.autograd.grad(result.sum(), v)
    assert torch.isfinite(result).all()
    assert torch.isfinite(gradient).all()


@each_parameterisation
def test_certificate_bounds_the_dense_jacobian(parameterisation: str) -> None:
    R = denoiser(parameterisation=parameterisation, spectral_norm=False)
    certificate = R.certificate()
    exact = torch.linalg.matrix_norm(dense_jacobian(R, uniform(1, 1, 8, 8)), ord=2)
    assert exact <= certificate["denoiser_lipschitz_bound"]
    product = torch.tensor(certificate["layer_norm_bounds"]).prod()
    assert certificate["network_lipschitz_bound"] == pytest.approx(float(product), rel=1e-5)


def test_certificate_of_a_normalised_network_is_near_one() -> None:
    R = denoiser(parameterisation="averaged").train()
    for _ in range(200):
        R.effective_weights()
    assert R.eval().certificate()["denoiser_lipschitz_bound"] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"parameterisation": "averaged", "averaging": 0.25},
        {"spectral_norm": False, "rescale": "per_sample", "image_channels": 3},
    ],
    ids=str,
)
def test_hyperparameters_build_the_same_network_again(options: dict[str, Any]) -> None:
    original = denoiser(**options)
    rebuilt = DnCNN(**original.hyperparameters).double().eval()
    rebuilt.load_state_dict(original.state_dict())
    v = uniform(1, original.hyperparameters["image_channels"], 6, 6)
    assert torch.equal(rebuilt(v), original(v))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameterisation": "residual"}, "noise_residual, averaged, direct"),
        ({"depth": 1}, "depth=1"),
        ({"channels": 0}, "channels=0"),
        ({"averaging": 0.0}, "averaging=0.0"),
        ({"averaging": 0.6}, "averaging=0.6"),
        ({"rescale": "batch"}, "rescale='batch'"),
    ],
    ids=str,
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DnCNN(**options)


def test_a_network_of_real_images_takes_complex_ones_channel_by_channel() -> None:
    R, v = denoiser(), uniform(3, 2, 7, 9)
    separate = torch.cat([R(v[:, :1]), R(v[:, 1:])], dim=1)
    torch.testing.assert_close(R(v), separate)
    linearised = R.bind().linearise(v, torch.float64)
    u, rows = uniform(3, 2, 7, 9) - 0.5, torch.tensor([2, 0])
    assert linearised is not None
    torch.testing.assert_close(linearised.value, separate)
    expected = torch.func.jvp(R, (v,), (u,))[1]
    torch.testing.assert_close(linearised.jvp(u), expected)
    torch.testing.assert_close(linearised.jvp.select(rows)(u[rows]), expected[rows])
    torch.testing.assert_close((linearised.vjp(u) * u).sum(), (expected * u).sum())
    with pytest.raises(ConfigError, match="denoiser of 2 channels cannot take images of 3"):
        denoiser(image_channels=2)(uniform(1, 3, 7, 9))
