"""Anderson with half-precision evaluations: the float32 answer, whatever half precision makes of the way there."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from references import dncnn, norms, tiny_layer, uniform
from torch import Tensor

from mcnet_lightning.equilibrium import (
    AndersonSolver,
    DouglasRachfordMap,
    Linearisation,
    MeasurementBall,
    Outcome,
    SolveStats,
    mixed_precision,
)
from mcnet_lightning.operators import BicubicDownsample

A = BicubicDownsample(2)
TOLERANCE = 1e-5


def step_map(
    batch: int = 4, epsilon: float = 0.0, denoise: Callable[[Tensor], Tensor] | None = None
) -> DouglasRachfordMap:
    prior, measurement = uniform(batch, 1, 16, 20).float(), A(uniform(batch, 1, 16, 20)).float()
    denoise = denoise or tiny_layer().float().denoiser.bind()
    return DouglasRachfordMap(denoise, MeasurementBall(measurement, A, epsilon), prior, 0.3)


def double(T: DouglasRachfordMap) -> DouglasRachfordMap:
    ball = MeasurementBall(T.ball.measurement.double(), A, T.ball.radius.double())
    return DouglasRachfordMap(tiny_layer().denoiser.bind(), ball, T.prior_image.double(), 0.3)


def solve(T: DouglasRachfordMap, half: bool = True, **options: Any) -> tuple[Tensor, SolveStats]:
    settings = {"tolerance": TOLERANCE, **options}
    return AndersonSolver(half_evaluations=half, **settings).solve(T, T.prior_image)


@pytest.fixture(autouse=True)
def same_denoiser() -> None:
    """tiny_layer draws its weights from the generator: the same ones for a map in float32 and in float64."""
    torch.manual_seed(3)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@torch.no_grad()
def test_reaches_the_float64_fixed_point(epsilon: float) -> None:
    layer = tiny_layer()
    prior, measurement = uniform(4, 1, 16, 20), A(uniform(4, 1, 16, 20))
    exact = layer(prior, measurement, A, epsilon).estimate
    layer.float().solver = AndersonSolver(TOLERANCE, half_evaluations=True)
    result = layer(prior.float(), measurement.float(), A, epsilon)
    assert result.stats.converged.all()
    assert (norms(result.estimate - exact) <= 10 * TOLERANCE * norms(exact)).all()
    T = layer.map(prior.float(), measurement.float(), A, epsilon)
    assert (norms(T(result.state) - result.state) <= TOLERANCE * norms(result.state)).all()


@torch.no_grad()
def test_most_evaluations_are_in_half_precision() -> None:
    full_rows = 0
    bound = dncnn(tiny_layer().float()).bind()

    class Counting:
        rounded, linearise = bound.rounded, bound.linearise

        def __call__(self, image: Tensor) -> Tensor:
            nonlocal full_rows
            full_rows += len(image)
            return bound(image)

    _, stats = solve(step_map(denoise=Counting()))
    assert stats.converged.all()
    assert stats.evaluations.min() >= 5
    assert full_rows == 0


@torch.no_grad()
def test_trace_has_one_row_per_evaluation_of_each_sample() -> None:
    _, stats = solve(step_map())
    assert ((~stats.trace.isnan()).sum(dim=0) == stats.evaluations).all()
    assert (stats.residual == stats.trace[:, :].nan_to_num(torch.inf).min(dim=0).values).all()


class Products:
    """u -> J u by a function that knows nothing of samples."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def __call__(self, direction: Tensor) -> Tensor:
        return self.function(direction)

    def select(self, index: Tensor) -> "Products":
        return self


class Noise(Products):
    """With the value that it is added to, an image of noise."""

    def __init__(self, value: Tensor) -> None:
        super().__init__(lambda _: torch.rand_like(value) - value)
        self.value = value

    def select(self, index: Tensor) -> "Noise":
        return Noise(self.value[index])


class Lying:
    """R whose tangent has nothing to do with it."""

    def __init__(self, bound: Callable[[Tensor], Tensor]) -> None:
        self.bound, self.asked = bound, False

    def __call__(self, image: Tensor) -> Tensor:
        return self.bound(image)

    def rounded(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        return lambda image: torch.full_like(image, torch.nan)

    def linearise(self, image: Tensor, dtype: torch.dtype) -> Linearisation:
        value = self.bound(image)
        return Linearisation(value, Noise(value), torch.rand_like)


@torch.no_grad()
def test_useless_half_precision_is_left_for_full() -> None:
    bound = dncnn(tiny_layer().float()).bind()
    state, stats = solve(step_map(denoise=Lying(bound)))
    assert stats.converged.all()
    T = step_map(denoise=bound)
    assert state.shape == T.prior_image.shape
    assert stats.evaluations.max() <= 90


class OffBy:
    """R whose tangent is off by a share of the distance from where it is exact; counts its products, round by round."""

    def __init__(self, share: float) -> None:
        self.bound, self.share = dncnn(tiny_layer().float()).bind(), share
        self.rounded = self.bound.rounded
        self.products: list[int] = []

    def __call__(self, image: Tensor) -> Tensor:
        value: Tensor = self.bound(image)
        return value

    def linearise(self, image: Tensor, dtype: torch.dtype) -> Linearisation:
        linearised = self.bound.linearise(image, dtype)
        assert linearised is not None
        value, jvp, vjp = linearised
        self.products.append(0)

        def product(direction: Tensor) -> Tensor:
            self.products[-1] += 1
            return jvp(direction) + self.share * direction

        return Linearisation(value, Products(product), vjp)


@torch.no_grad()
def test_a_tangent_is_believed_as_far_as_the_last_one_was_right() -> None:
    right, wrong = OffBy(0.0), OffBy(0.15)
    for denoise in (right, wrong):
        torch.manual_seed(3)
        _, stats = solve(step_map(1, denoise=denoise), tolerance=1e-6)
        assert stats.converged.all()
    assert wrong.products[1] < right.products[1]
    assert len(wrong.products) > len(right.products)


@pytest.mark.parametrize("cap", [1, 2, 3, 5, 9])
@torch.no_grad()
def test_cap_holds(cap: int) -> None:
    state, stats = solve(step_map(), tolerance=1e-7, max_evaluations=cap)
    assert (stats.evaluations <= cap).all()
    assert (stats.outcome == int(Outcome.MAX_EVALUATIONS)).all()
    assert stats.residual.isfinite().all()
    assert state.isfinite().all()


@torch.no_grad()
def test_warm_start_costs_one_look_in_half_and_one_exact_evaluation() -> None:
    T = step_map()
    state, _ = solve(T, tolerance=1e-6)
    _, stats = AndersonSolver(TOLERANCE, half_evaluations=True).solve(T, state)
    assert (stats.evaluations == 2).all()


@torch.no_grad()
def test_nan_ends_its_own_sample_only() -> None:
    T = step_map()
    T.prior_image[1, 0, 3, 4] = torch.nan
    state, stats = solve(T)
    assert stats.outcome.tolist() == [0, int(Outcome.NON_FINITE), 0, 0]
    assert state[[0, 2, 3]].isfinite().all()


@torch.no_grad()
def test_dropping_finished_samples_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    T = step_map(8)
    states = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(mixed_precision, "COPIED_BELOW", share)
        states.append(solve(T)[0])
    assert (norms(states[0] - states[1]) <= 10 * TOLERANCE * norms(states[0])).all()


@torch.no_grad()
def test_float64_never_sees_half_precision() -> None:
    T = double(step_map())
    plain, with_half = (AndersonSolver(1e-9, half_evaluations=half).solve(T, T.prior_image) for half in (False, True))
    assert torch.equal(plain[0], with_half[0])


@torch.no_grad()
def test_large_batches_keep_no_tangent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixed_precision, "TANGENTS_UP_TO", 4 * 16 * 20 - 1)
    bound = dncnn(tiny_layer().float()).bind()

    class Refusing:
        rounded = bound.rounded

        def __call__(self, image: Tensor) -> Tensor:
            return bound(image)

        def linearise(self, image: Tensor, dtype: torch.dtype) -> Linearisation:
            raise AssertionError("too large for a tangent")

    _, stats = solve(step_map(denoise=Refusing()))
    assert stats.converged.all()


@pytest.mark.parametrize("rescale", ["none", "per_sample"])
@torch.no_grad()
def test_rescaling_denoisers_are_solved_mostly_in_half_precision_too(rescale: str) -> None:
    layer = tiny_layer(tolerance=TOLERANCE, rescale=rescale).float()
    T = step_map(denoise=layer.denoiser.bind())
    exact, _ = solve(T, half=False, tolerance=1e-6)
    found, stats = solve(T)
    assert stats.converged.all()
    assert (norms(found - exact) <= 20 * TOLERANCE * norms(exact)).all()


@torch.no_grad()
def test_a_network_without_these_forms_is_solved_in_full_precision() -> None:
    bound = dncnn(tiny_layer().float()).bind()
    T = step_map(denoise=lambda image: bound(image))
    (asked, asked_stats), (plain, plain_stats) = solve(T), solve(T, half=False)
    assert torch.equal(asked, plain)
    assert torch.equal(asked_stats.evaluations, plain_stats.evaluations)
