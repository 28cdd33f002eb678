"""Any image-to-image module as R: frozen within a solve, trained through it, never changed by it."""

import warnings
from typing import Any

import pytest
import torch
from references import relative_error, tiny_layer, uniform
from torch import Tensor, nn

from mcnet_lightning.equilibrium import GMRES, AndersonSolver, EquilibriumLayer, MeasurementBall, Unrolled
from mcnet_lightning.equilibrium.export import export_layer
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.methods import PnP
from mcnet_lightning.operators import BicubicDownsample

A = BicubicDownsample(2)

# said once, as a test sees
parts_are_frozen = pytest.mark.filterwarnings("ignore:.*frozen")


class Network(nn.Module):
    """v -> v - a small residual, with everything that training mode changes."""

    def __init__(self, features: int = 4) -> None:
        super().__init__()
        self.hyperparameters = {"features": features}
        self.first = nn.Conv2d(1, features, 3, padding=1)
        self.norm, self.drop = nn.BatchNorm2d(features), nn.Dropout2d(0.5)
        self.last = nn.Conv2d(features, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        residual: Tensor = self.last(self.drop(torch.tanh(self.norm(self.first(image)))))
        return image - 0.3 * residual


def network() -> Network:
    torch.manual_seed(2)
    made = Network().double()
    assert made.norm.running_mean is not None
    assert made.norm.running_var is not None
    with torch.no_grad():
        made.norm.running_mean.normal_()
        made.norm.running_var.uniform_(0.5, 2)
    return made


def plain_layer(module: nn.Module, tolerance: float = 1e-12) -> EquilibriumLayer:
    layer = EquilibriumLayer(module, 0.5, solver=AndersonSolver(tolerance, 300), backward_solver=GMRES(1e-12, 100))
    return layer.double()


def problem(batch: int = 3) -> tuple[Tensor, Tensor]:
    truth = uniform(batch, 1, 8, 10)
    return truth + 0.1 * torch.randn_like(truth), A(truth)


def state_of(module: nn.Module) -> dict[str, Any]:
    values = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    return {**values, "training": [part.training for part in module.modules()]}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        other = expected[name]
        assert torch.equal(value, other) if isinstance(value, Tensor) else value == other


@parts_are_frozen
@pytest.mark.parametrize("training", [False, True])
def test_fixed_point_is_that_of_the_network_in_evaluation_mode(training: bool) -> None:
    w, b = problem()
    module = network()
    result = plain_layer(module).train(training)(w, b, A)
    assert result.stats.converged.all()
    reflected = 2 * result.estimate - result.state
    assert relative_error(network().eval()(reflected), result.estimate) <= 1e-10
    alone = plain_layer(module).train(training)(w[[1]], b[[1]], A)
    assert relative_error(alone.estimate, result.estimate[[1]]) <= 1e-10


@parts_are_frozen
def test_implicit_gradient_in_training_mode_is_the_unrolled_one() -> None:
    w, b = problem()
    gradients = []
    for scheme in (GMRES(1e-13, 100), Unrolled(300)):
        module = network()
        layer = plain_layer(module).train()
        layer.backward_solver = scheme
        layer(w, b, A).estimate.square().sum().backward()
        each = []
        for parameter in module.parameters():
            assert parameter.grad is not None
            each.append(parameter.grad.flatten())
        gradients.append(torch.cat(each))
    assert relative_error(gradients[0], gradients[1]) <= 1e-8


def test_said_once_that_parts_are_frozen() -> None:
    w, b = problem(1)
    layer = plain_layer(network(), 1e-3).train()
    with pytest.warns(UserWarning, match="BatchNorm2d, Dropout2d of Network are frozen while the layer solves"):
        layer(w, b, A)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(w, b, A)
        plain_layer(network(), 1e-3).eval()(w, b, A)


@parts_are_frozen
def test_no_solve_changes_the_callers_module() -> None:
    w, b = problem()
    module = network().train()
    module.drop.eval()  # a mixture, to be found again
    before = state_of(module)
    plain_layer(module)(w, b, A).estimate.sum().backward()
    PnP(module, max_iterations=3).solve(w, MeasurementBall(b, A))
    PnP(module, max_iterations=3).solve(w.float(), MeasurementBall(b.float(), A))
    assert_same(state_of(module), before)


def test_plug_and_play_and_export_leave_a_live_layer_as_it_is() -> None:
    layer = tiny_layer().train()
    before = state_of(layer)
    PnP(layer.denoiser, max_iterations=3).solve(
        uniform(1, 1, 8, 8).float(), MeasurementBall(uniform(1, 1, 4, 4).float(), A)
    )
    export_layer(layer, A, (8, 8), 1)
    assert_same(state_of(layer), before)
    assert layer.denoiser.norms is not None


def test_a_network_with_weights_computed_from_others_can_be_copied() -> None:
    module = nn.utils.spectral_norm(nn.Conv2d(1, 1, 3, padding=1)).double()
    w, b = problem(1)
    module(w).sum().backward()
    solver = PnP(module, max_iterations=2)
    assert isinstance(solver.denoiser, nn.Module)
    assert relative_error(solver.denoiser.eval()(w), module.eval()(w)) <= 1e-12
    assert solver.solve(w, MeasurementBall(b, A))[0].shape == w.shape


@pytest.mark.parametrize("module", [nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 1, 3)], ids=["channels", "size"])
def test_another_shape_is_refused(module: nn.Module) -> None:
    w, b = problem(1)
    with pytest.raises(ConfigError, match=r"Conv2d makes \(1, .*\) of an image of shape \(1, 1, 8, 10\)"):
        plain_layer(module)(w, b, A)


def test_batch_statistics_are_refused() -> None:
    with pytest.raises(ConfigError, match="BatchNorm2d 1 of Sequential keeps no running statistics"):
        EquilibriumLayer(nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1, track_running_stats=False)))
