"""What operators keep: bounded by bytes, and of use to whoever comes next."""

import pytest
import torch
from references import uniform

from mcnet_lightning.equilibrium import project_measurement_ball
from mcnet_lightning.operators import BicubicDownsample, BlurDownsample, DenseOperator, Mask, MeasurementOperator
from mcnet_lightning.operators.blur import gaussian_kernel
from mcnet_lightning.operators.cache import CONSTANTS, ByteCache


def kilobyte() -> torch.Tensor:
    return torch.zeros(1024, dtype=torch.uint8)


def kept(cache: ByteCache, group: object, value: torch.Tensor) -> torch.Tensor:
    return cache.keep(group, "a", value)


def test_groups_that_were_not_used_for_longest_go_first() -> None:
    cache = ByteCache(limit=3 * 1024, newest=1)
    for group in (0, 1, 2, 0, 3):
        if cache.find(group, "a") is None:
            kept(cache, group, kilobyte())
    assert list(cache.groups) == [2, 0, 3]
    assert cache.bytes == 3 * 1024


def test_what_is_in_use_stays_however_large_it_is() -> None:
    cache = ByteCache(limit=1024, newest=2)
    first = kept(cache, "axis", torch.zeros(10_000))
    kept(cache, "other axis", torch.zeros(10_000))
    assert cache.find("axis", "a") is first


def test_of_two_that_make_a_value_at_once_both_have_the_first() -> None:
    cache = ByteCache(limit=10**6)
    first = kept(cache, "axis", kilobyte())
    assert kept(cache, "axis", kilobyte()) is first
    assert cache.bytes == 1024


def test_nested_values_are_counted() -> None:
    cache = ByteCache(limit=10**6)
    cache.keep("outer", "a", (kilobyte(), {"b": [kilobyte()]}, 3.0))
    assert cache.bytes == 2 * 1024
    assert cache.find("outer", "b") is None
    assert cache.find("inner", "a") is None


def test_forty_sizes_do_not_pin_their_factors() -> None:
    for size in range(100, 500, 10):
        image = torch.rand(1, 1, size, size + 2)
        project_measurement_ball(image, BicubicDownsample(2)(image) + 0.1, BicubicDownsample(2), 0.5)
    largest = 4 * 8 * 500 * 250  # a few factors of one size, float64
    assert CONSTANTS.bytes <= CONSTANTS.limit + 6 * largest


@pytest.mark.parametrize(
    "operator",
    [BicubicDownsample(2), BlurDownsample(gaussian_kernel(0.7), 2), Mask((torch.arange(26 * 34) % 3 > 0).view(26, 34))],
    ids=lambda operator: operator.name,
)
@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_used_in_inference_mode_first_it_trains_afterwards(operator: MeasurementOperator, epsilon: float) -> None:
    CONSTANTS.groups.clear()
    CONSTANTS.bytes = 0
    with torch.inference_mode():
        b = operator(uniform(1, 1, 26, 34))
        project_measurement_ball(uniform(1, 1, 26, 34), b, operator, epsilon)
    q = uniform(1, 1, 26, 34).requires_grad_()
    b = operator(uniform(1, 1, 26, 34))
    project_measurement_ball(q, b, operator, epsilon).square().sum().backward()
    assert q.grad is not None
    assert torch.isfinite(q.grad).all()


def test_tables_made_and_selected_in_inference_mode_train_afterwards() -> None:
    with torch.inference_mode():
        matrices = DenseOperator(torch.randn(2, 3, 12), (1, 3, 4)).select(torch.tensor([1]))
        masks = Mask((torch.rand(2, 1, 3, 4) > 0.5).double()).select(torch.tensor([1]))
    for operator in (matrices, masks):
        q = uniform(1, 1, 3, 4).requires_grad_()
        b = operator(uniform(1, 1, 3, 4))
        project_measurement_ball(q, b, operator, 0.1).square().sum().backward()
        assert q.grad is not None
        assert torch.isfinite(q.grad).all()
