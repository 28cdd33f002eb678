"""Devices without float64, as Apple's GPUs are: nothing of the solvers asks them for it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from references import relative_error, tiny_layer, uniform
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mcnet_lightning.equilibrium import GMRES, AdjointAnderson, AndersonSolver, MeasurementBall, local_jacobian
from mcnet_lightning.equilibrium.epsilon import UNITS, Epsilon, Unit
from mcnet_lightning.evaluation.metrics import ImageMeans, consistency, headroom, lr_psnr
from mcnet_lightning.methods import TVTV
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.problems import Observation
from mcnet_lightning.problems.quality import psnr, ssim
from mcnet_lightning.problems.super_resolution import SuperResolution

DEVICE = torch.device("mps")
CPU = torch.device("cpu")


class OnDevice(Tensor):
    """A tensor of the CPU that passes for one on a device without float64; `cpu()` brings it back."""

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == Tensor.device.__get__:
            return DEVICE
        result: Any = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]  # torch's
        if func == Tensor.cpu:
            return result.as_subclass(Tensor)
        return single(result)


class Device(TorchFunctionMode):
    """Whatever is made on, or brought to, that device meanwhile is such a tensor."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, there = dict(kwargs or {}), DEVICE in [each for each in args if isinstance(each, torch.device)]
        if kwargs.get("device") == DEVICE:
            kwargs["device"], there = CPU, True
        result = func(*(CPU if isinstance(each, torch.device) else each for each in args), **kwargs)
        return single(result).as_subclass(OnDevice) if there else result


def single(result: Any) -> Any:
    """The result, if it needs no float64."""
    for each in result if isinstance(result, tuple | list) else [result]:
        if isinstance(each, Tensor) and each.dtype in (torch.float64, torch.complex128):
            raise TypeError("this device has no float64")
    return result


def contraction(batch: int, size: int) -> Callable[[Tensor], Tensor]:
    matrix = 0.3 * torch.randn(size, size) / size**0.5
    constant = torch.randn(batch, size)
    return lambda state: state @ matrix.T + constant


def there(tensor: Tensor) -> Tensor:
    return tensor.clone().as_subclass(OnDevice)


def test_the_stand_in_refuses_what_such_a_device_refuses() -> None:
    image = there(torch.rand(2, 3))
    with pytest.raises(TypeError, match="no float64"):
        image.double()
    with Device(), pytest.raises(TypeError, match="no float64"):
        torch.from_numpy(uniform(2).numpy()).to(image.device)
    assert image.cpu().double().dtype == torch.float64


@pytest.mark.parametrize("half", [None, True])
@torch.no_grad()
def test_forward_solver_never_asks_for_float64(half: bool | None) -> None:
    T, start = contraction(3, 20), torch.zeros(3, 20)
    solver = AndersonSolver(1e-5, half_evaluations=half)
    expected, stats = solver.solve(T, start)
    with Device():
        found, found_stats = solver.solve(T, there(start))
    assert torch.equal(found.cpu(), expected)
    assert torch.equal(found_stats.evaluations, stats.evaluations)


@pytest.mark.parametrize("scheme", [GMRES(1e-4), AdjointAnderson(1e-4)], ids=["gmres", "anderson"])
@torch.no_grad()
def test_adjoint_solvers_never_ask_for_float64(scheme: GMRES | AdjointAnderson) -> None:
    matrix, gradient = 0.3 * torch.randn(20, 20) / 20**0.5, torch.randn(3, 20)
    expected, _ = scheme.solve_adjoint(lambda v: v @ matrix, gradient)
    with Device():
        found, _ = scheme.solve_adjoint(lambda v: v @ matrix, there(gradient))
    assert relative_error(found.cpu(), expected) <= 1e-5


def test_local_jacobian_never_asks_for_float64() -> None:
    T, state = contraction(2, 12), torch.randn(2, 12)
    expected = local_jacobian(T, state, steps=5)
    with Device():
        found = local_jacobian(T, there(state), steps=5)
    assert relative_error(found.norm, expected.norm) <= 1e-5
    assert relative_error(found.spectral_radius, expected.spectral_radius) <= 1e-5


def test_beta_is_set_without_float64() -> None:
    layer = tiny_layer().float()
    layer.raw_prior_weight.data = there(layer.raw_prior_weight.data)
    with Device():
        layer.set_prior_weight(0.25, floor=0.1)
    assert layer.prior_weight.cpu().item() == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize("unit", UNITS)
def test_radii_never_ask_for_float64(unit: Unit) -> None:
    A, b = BicubicDownsample(2), torch.rand(2, 1, 6, 6)
    expected = Epsilon(0.5, unit).radii(b, A)
    with Device():
        radii = Epsilon(0.5, unit).radii(there(b), A)
        ball = MeasurementBall(there(b), A, radii)
    assert torch.equal(radii, expected)
    assert torch.equal(ball.radius.cpu(), expected.float())


@torch.no_grad()
def test_metrics_never_ask_for_float64() -> None:
    A, x, truth = BicubicDownsample(2), torch.rand(2, 1, 24, 24), torch.rand(2, 1, 24, 24)
    b = A(truth)

    def figures(x: Tensor, truth: Tensor, b: Tensor) -> dict[str, Tensor]:
        of_pair = {name: measure(x, truth, 2) for name, measure in (("psnr", psnr), ("ssim", ssim))}
        of_pair |= {"consistency": consistency(x, b, A), "lr_psnr": lr_psnr(x, b, A)}
        observation, problem = Observation(truth, b, A, {"start": x}), SuperResolution("paper", 2)
        means = ImageMeans(("mean",))
        means.update(mean=x.flatten(1).mean(1))
        return {**of_pair, "headroom": headroom(x, observation, problem), "mean": means.compute()["mean"]}

    expected = figures(x, truth, b)
    with Device():
        found = figures(there(x), there(truth), there(b))
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-6, atol=1e-7)


@torch.no_grad()
def test_tvtv_s_gap_never_asks_for_float64() -> None:
    A, w, truth = BicubicDownsample(2), torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)
    b = A(truth)
    x, dual = MeasurementBall(b, A).project(w), torch.rand(1, 2, 8, 8)
    expected = TVTV().gap(x, dual, w, MeasurementBall(b, A))
    with Device():
        found = TVTV().gap(there(x), there(dual), there(w), MeasurementBall(there(b), A))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
