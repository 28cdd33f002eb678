"""The whole layer: consistent however early it stops, one sample at a time, and clear about what went wrong."""

from typing import Any

import pytest
import torch
from references import dncnn, norms, relative_error, tiny_layer, uniform
from torch import Tensor

from mcnet_lightning.denoisers import DnCNN, convolution_norm_bound
from mcnet_lightning.equilibrium import (
    GMRES,
    AndersonSolver,
    EquilibriumLayer,
    Neumann,
    Outcome,
    PicardSolver,
    Unrolled,
)
from mcnet_lightning.errors import ConfigError, ConvergenceError
from mcnet_lightning.operators import BicubicDownsample, BlurDownsample, Mask, MeasurementOperator

A = BicubicDownsample(2)
OPERATORS: dict[str, MeasurementOperator] = {
    "bicubic": A,
    "mask": Mask((torch.arange(8 * 10) % 3 > 0).view(8, 10)),
    "blur": BlurDownsample(torch.ones(3, 3) / 9, 2),
}


def problem(batch: int = 3, noise: float = 0.1, operator: MeasurementOperator = A) -> tuple[Tensor, Tensor]:
    """w near an image, and b measured from that image; the samples grow harder."""
    truth = uniform(batch, 1, 8, 10)
    strength = noise * torch.logspace(-3, 0, batch, dtype=torch.float64).view(-1, 1, 1, 1)
    return truth + strength * torch.randn_like(truth), operator(truth)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())
@pytest.mark.parametrize("evaluations", [1, 3, 100])
@pytest.mark.parametrize("epsilon", [0.0, 0.05])
def test_estimate_is_consistent_however_early_the_iteration_stops(
    operator: MeasurementOperator, evaluations: int, epsilon: float
) -> None:
    w, b = problem(operator=operator)
    layer = tiny_layer()
    layer.solver.max_evaluations = evaluations
    assert (norms(operator(layer(w, b, operator, epsilon).estimate) - b) <= epsilon + 1e-7 * epsilon + 1e-12).all()


@pytest.mark.parametrize("tolerance", [1e-4, 1e-12])
@pytest.mark.parametrize("rescale", ["none", "per_sample"])
@pytest.mark.parametrize("epsilons", [(0.0, 0.0, 0.0), (0.0, 0.01, 9.0)], ids=str)
def test_no_sample_depends_on_its_batch_mates(tolerance: float, rescale: str, epsilons: tuple[float, ...]) -> None:
    w, b = problem()
    layer, epsilon = tiny_layer(beta=0.1, tolerance=tolerance, rescale=rescale), torch.tensor(epsilons).double()
    together = layer(w, b, A, epsilon)
    for sample in range(3):
        alone = layer(w[[sample]], b[[sample]], A, epsilon[[sample]])
        assert relative_error(together.estimate[[sample]], alone.estimate) <= 1e-10
        assert together.stats.evaluations[sample] == alone.stats.evaluations


def test_no_sample_depends_on_its_batch_mates_in_float32() -> None:
    """The same PSNR to 0.001 dB at tolerance 1e-6."""
    w, b = (tensor.float() for tensor in problem())
    layer = tiny_layer(tolerance=1e-6).float()
    together = layer(w, b, A).estimate
    for sample in range(3):
        alone = layer(w[[sample]], b[[sample]], A).estimate
        errors = [(estimate - 0.5).square().mean() for estimate in (together[sample], alone[0])]
        assert abs(10 * torch.log10(errors[0] / errors[1])) <= 1e-3


def test_finished_samples_leave_the_denoiser(monkeypatch: pytest.MonkeyPatch) -> None:
    w, b = problem()
    layer, rows = tiny_layer(tolerance=1e-8), list[int]()
    start = torch.cat([layer(w, b, A).state[:2], w[2:]])  # two samples are there already
    bound = layer.denoiser.bind()

    def noted(image: Tensor) -> Tensor:
        rows.append(len(image))
        return bound(image)

    monkeypatch.setattr(layer.denoiser, "bind", lambda: noted)
    with torch.no_grad():
        stats = layer(w, b, A, initial_state=start).stats
    assert stats.evaluations.tolist() == [1, 1, len(rows)]
    assert rows == [3, *[1] * (len(rows) - 1)]


@pytest.mark.parametrize("epsilon", [0.0, 0.05])
def test_any_start_leads_to_the_same_estimate(epsilon: float) -> None:
    w, b = problem()
    layer = tiny_layer()
    expected = layer(w, b, A, epsilon)
    elsewhere = layer(w, b, A, epsilon, initial_state=torch.randn_like(w))
    assert relative_error(elsewhere.estimate, expected.estimate) <= 1e-11


def test_start_from_the_last_state_takes_one_evaluation() -> None:
    w, b = problem()
    layer = tiny_layer(tolerance=1e-8)
    warm = layer(w, b, A, initial_state=layer(w, b, A).state)
    assert warm.stats.evaluations.tolist() == [1, 1, 1]


def test_state_carries_no_tape_and_estimate_does() -> None:
    w, b = problem()
    result = tiny_layer()(w, b, A)
    assert not result.state.requires_grad
    assert result.estimate.requires_grad


@pytest.mark.parametrize("scheme", [GMRES(), Neumann(), Unrolled()], ids=["gmres", "neumann", "unrolled"])
def test_inference_does_not_depend_on_the_backward_scheme(scheme: GMRES | Neumann | Unrolled) -> None:
    w, b = problem()
    layer = tiny_layer()
    expected = layer(w, b, A).estimate
    layer.backward_solver = scheme
    with torch.no_grad():
        result = layer(w, b, A)
    assert relative_error(result.estimate, expected) <= 1e-11
    assert result.stats.converged.all()


def test_autocast_does_not_reach_the_fixed_point() -> None:
    w, b = (tensor.float() for tensor in problem())
    layer = tiny_layer(tolerance=1e-6).float()
    expected = layer(w, b, A).estimate
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(w, b, A).estimate
    assert torch.equal(found, expected)


def test_folding_changes_no_result() -> None:
    w, b = problem()
    layer = tiny_layer()
    before = layer(w, b, A).estimate
    assert relative_error(layer.fold()(w, b, A).estimate, before) <= 1e-11


def test_larger_beta_keeps_the_estimate_nearer_to_the_prior_image() -> None:
    w, b = problem(noise=0.0)  # w is consistent: only the denoiser pulls it away
    distances = [relative_error(tiny_layer(beta)(w, b, A).estimate, w) for beta in (0.1, 1.0, 10.0, 1e4)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-3


def test_black_image_converges_and_stays_black() -> None:
    layer = tiny_layer()
    with torch.no_grad():
        dncnn(layer).offset.zero_()
    black = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    result = layer(black, A(black), A)
    assert result.stats.converged.all()
    assert not result.estimate.any()


@pytest.mark.parametrize("solver", [AndersonSolver(max_evaluations=40), PicardSolver(max_evaluations=40)])
def test_non_contractive_denoiser_ends_in_a_typed_outcome(solver: AndersonSolver) -> None:
    layer = tiny_layer(parameterisation="direct", spectral_norm=False)
    with torch.no_grad():
        for weight in dncnn(layer).weights:
            weight *= 3 / weight.flatten(1).norm(dim=1).mean()
    layer.solver = solver
    w, b = problem()
    result = layer(w, b, A)
    assert not result.stats.converged.any()
    assert set(result.stats.outcome.tolist()) <= {Outcome.MAX_EVALUATIONS, Outcome.NON_FINITE}
    assert torch.isfinite(result.estimate).all()
    assert (norms(A(result.estimate) - b) <= 1e-12 * norms(result.state)).all()
    with pytest.raises(ConvergenceError, match="3 of 3"):
        result.stats.raise_if_failed()


def test_averaged_denoiser_never_lets_a_plain_step_grow() -> None:
    """With N 1-Lipschitz and R = (I + N)/2 the map T is averaged, for any beta."""
    layer = tiny_layer(parameterisation="averaged", spectral_norm=False)
    with torch.no_grad():
        for weight in dncnn(layer).weights:
            weight /= convolution_norm_bound(weight)
    layer.set_prior_weight(0.0)
    w, b = problem(noise=1.0)
    T, state, steps = layer.map(w, b, A, 0.05), w, []
    with torch.no_grad():
        for _ in range(200):
            following = T(state)
            steps.append(norms(following - state))
            state = following
    assert (torch.stack(steps).diff(dim=0) <= 1e-12).all()
    assert (steps[-1] < 1e-2 * steps[0]).all()


@pytest.mark.parametrize("place", ["w", "b"])
@pytest.mark.parametrize("epsilon", [0.0, 0.05])
def test_nan_ends_its_own_sample_only(place: str, epsilon: float) -> None:
    w, b = problem()
    layer = tiny_layer()
    expected = layer(w, b, A, epsilon)
    (w if place == "w" else b)[1, 0, 2, 2] = torch.nan
    result = layer(w, b, A, epsilon)
    assert result.stats.outcome.tolist() == [Outcome.CONVERGED, Outcome.NON_FINITE, Outcome.CONVERGED]
    assert int(result.stats.evaluations[1]) == 1
    assert relative_error(result.estimate[[0, 2]], expected.estimate[[0, 2]]) <= 1e-12
    with pytest.raises(ConvergenceError, match="sample 1 ended as NON_FINITE"):
        result.stats.raise_if_failed()


def test_nan_in_the_weights_is_a_typed_outcome_of_every_sample() -> None:
    layer = tiny_layer(spectral_norm=False)
    with torch.no_grad():
        dncnn(layer).weights[1][0, 0, 0, 0] = torch.nan
    w, b = problem()
    assert layer(w, b, A).stats.outcome.tolist() == [Outcome.NON_FINITE] * 3


@pytest.mark.parametrize(("beta", "floor"), [(0.05, 0.0), (0.02, 0.015), (3.0, 0.0), (1e-6, 0.0), (500.0, 0.1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_beta_is_what_was_set(beta: float, floor: float, dtype: torch.dtype, tolerance: float) -> None:
    layer = EquilibriumLayer(DnCNN(2, 2)).to(dtype)
    layer.set_prior_weight(beta, floor)
    assert abs(float(layer.prior_weight.detach()) / beta - 1) <= tolerance


def test_beta_never_falls_below_its_floor() -> None:
    layer = EquilibriumLayer(DnCNN(2, 2), prior_weight=0.05, prior_weight_floor=0.015)
    with torch.no_grad():
        layer.raw_prior_weight.fill_(-1e3)
    assert float(layer.prior_weight.detach()) == pytest.approx(0.015, rel=1e-6)


def test_zero_beta_is_allowed_and_has_a_finite_gradient() -> None:
    layer = EquilibriumLayer(DnCNN(2, 2), prior_weight=0.0)
    layer.prior_weight.backward()
    assert float(layer.prior_weight.detach()) == 0
    assert layer.raw_prior_weight.grad is not None
    assert torch.isfinite(layer.raw_prior_weight.grad)


@pytest.mark.parametrize("options", [{"prior_weight": -0.1}, {"prior_weight_floor": -0.1}], ids=str)
def test_impossible_weights_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="beta"):
        EquilibriumLayer(DnCNN(2, 2), **options)


def test_measurement_of_another_size_is_refused() -> None:
    w, b = problem()
    with pytest.raises(ConfigError, match=r"\(3, 1, 4, 5\).*\(3, 1, 4, 4\)"):
        tiny_layer()(w, b[..., :4], A)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("epsilon", [0.0, 0.05])
def test_cuda_equals_cpu(epsilon: float) -> None:
    w, b = problem()
    layer = tiny_layer()
    layer.backward_solver = GMRES(tolerance=1e-12)
    results = []
    for device in ("cpu", "cuda"):
        layer.to(device)
        estimate = layer(w.to(device), b.to(device), A, epsilon).estimate
        gradient = torch.autograd.grad(estimate.square().sum(), dncnn(layer).weights[1])[0]
        results.append((estimate.cpu(), gradient.cpu()))
    for cpu, cuda in zip(*results, strict=True):
        assert relative_error(cuda, cpu) <= 1e-9


def test_beta_set_below_its_floor_is_exact_and_can_still_be_learned() -> None:
    layer = EquilibriumLayer(DnCNN(2, 2))
    layer.set_prior_weight(0.01, floor=0.015)
    layer.prior_weight.backward()
    assert layer.prior_weight.item() == pytest.approx(0.01, rel=1e-4)
    assert layer.raw_prior_weight.grad is not None
    assert layer.raw_prior_weight.grad > 0
