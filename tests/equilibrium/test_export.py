"""The exported layer computes what the solver's iteration computes, step for step."""

import io

import pytest
import torch
from references import tiny_layer, uniform

from mcnet_lightning.equilibrium import PicardSolver
from mcnet_lightning.equilibrium.export import FixedIterationLayer, export_layer
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import BicubicDownsample


@pytest.mark.parametrize("iterations", [1, 7])
def test_equals_as_many_picard_steps(iterations: int) -> None:
    operator, layer = BicubicDownsample(2, "symmetric"), tiny_layer()
    w, b = uniform(1, 1, 18, 24), uniform(1, 1, 9, 12)
    fixed = FixedIterationLayer(layer, operator, (18, 24), iterations)(w, b)
    state, map_ = w, layer.map(w, b, operator)
    for _ in range(iterations):
        state = map_(state)
    torch.testing.assert_close(fixed, map_.estimate(state), rtol=0, atol=1e-12)


def test_many_steps_reach_the_layers_fixed_point() -> None:
    operator, layer = BicubicDownsample(2), tiny_layer()
    layer.solver = PicardSolver(1e-13)
    w, b = uniform(1, 1, 16, 16), uniform(1, 1, 8, 8)
    fixed = FixedIterationLayer(layer, operator, (16, 16), 150)(w, b)
    torch.testing.assert_close(fixed, layer(w, b, operator).estimate, rtol=0, atol=1e-10)


def test_exported_program_is_equal_and_survives_its_file() -> None:
    operator, layer = BicubicDownsample(2), tiny_layer()
    program = export_layer(layer, operator, (16, 20), 4)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    w, b = uniform(1, 1, 16, 20), uniform(1, 1, 8, 10)
    expected = FixedIterationLayer(layer, operator, (16, 20), 4)(w, b)
    torch.testing.assert_close(loaded(w, b), expected, rtol=0, atol=1e-14)
    assert (operator(loaded(w, b)) - b).norm() < 1e-12


def test_no_iterations_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        FixedIterationLayer(tiny_layer(), BicubicDownsample(2), (8, 8), 0)
