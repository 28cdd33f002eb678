"""The published solver's settings: the same fixed point as ours, by another way."""

import pytest
import torch
from references import relative_error, tiny_layer, uniform

from mcnet_lightning.equilibrium import AndersonSolver, PublishedSolver
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators import BicubicDownsample

A = BicubicDownsample(2)


def test_it_finds_the_fixed_point_that_ours_finds() -> None:
    layer, w = tiny_layer(tolerance=1e-9), uniform(1, 1, 16, 16)
    b = A(uniform(1, 1, 16, 16))
    estimates = []
    for solver in (AndersonSolver(1e-9), PublishedSolver(1e-9, max_evaluations=500)):
        layer.solver = solver
        with torch.no_grad():
            result = layer(w, b, A)
        assert result.stats.converged.all()
        assert len(result.stats.trace) == int(result.stats.evaluations[0])
        estimates.append(result.estimate)
    assert relative_error(estimates[1], estimates[0]) < 1e-6


def test_its_cap_is_an_outcome() -> None:
    layer = tiny_layer(tolerance=1e-9)
    layer.solver = PublishedSolver(1e-12, max_evaluations=4)
    with torch.no_grad():
        stats = layer(uniform(2, 1, 8, 8), A(uniform(2, 1, 8, 8)), A).stats
    assert stats.failed.all()
    assert stats.evaluations.tolist() == [4, 4]


def test_it_refuses_maps_without_a_pair() -> None:
    with pytest.raises(ConfigError, match="solver=anderson"):
        PublishedSolver().solve(torch.cos, torch.zeros(1, 2))
