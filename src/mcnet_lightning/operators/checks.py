"""Whether an operator is what it says: linear, of the shape it names, and with an exact transpose."""

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.operators.base import MeasurementOperator, Shape

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}  # relative; sums of many terms in any order


@torch.no_grad()
def check_adjoint(
    operator: MeasurementOperator,
    image_shape: Shape,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> float:
    """|<A x, y> - <x, A^T y>| / (||A x|| ||y||) of random x and y, the same test for everybody's operators.

    image_shape: (C, H, W), or (B, C, H, W) for an operator that differs from sample to sample. dtype: of the test; by
    default the operator's own precision.

    Raises ConfigError, in one sentence with the figure, for a transpose that is none, a wrong shape, a complex or
    non-finite value, and a map that is not linear.
    """
    shape = tuple(image_shape) if len(image_shape) == 4 else (1, *image_shape)
    generator = torch.Generator().manual_seed(seed)
    dtype = dtype or operator.precision
    tolerance = max(TOLERANCE[dtype], TOLERANCE[operator.precision])

    def random(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64).to(device, dtype)

    x, other = random(*shape), random(*shape)
    size = (shape[-2], shape[-1])
    try:
        measured = operator(x)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"{operator.name} cannot measure images {shape} of {dtype} ({reason}); one that knows float32 only says so "
            "by `precision = torch.float32`, and converts"
        ) from None
    if measured.dtype != dtype:
        raise ConfigError(
            f"{operator.name} makes {measured.dtype} of {dtype}; it must keep the precision of its argument"
        )
    _require_real(operator, measured, "A x")
    expected = tuple(operator.measurement_shape(shape))
    if tuple(measured.shape) not in (expected, (shape[0], *expected)):
        raise ConfigError(
            f"{operator.name} measures images {shape} as {tuple(measured.shape)}, but its measurement_shape says "
            f"{expected}; make them agree"
        )
    y, second = random(*measured.shape), random(*measured.shape)
    y, second = operator.measured(y), operator.measured(second)
    back = operator.adjoint(y, size)
    _require_real(operator, back, "A^T y")
    if tuple(back.shape) != shape:
        raise ConfigError(f"{operator.name}: the adjoint of a measurement of images {shape} is {tuple(back.shape)}")
    for name, function, first, next_one, of_first in (
        ("A", operator, x, other, measured),
        ("A^T", lambda z: operator.adjoint(z, size), y, second, back),
    ):
        expected_sum = 2 * of_first - 3 * function(next_one)
        off = _relative(function(2 * first - 3 * next_one) - expected_sum, expected_sum)
        if not off <= tolerance:
            raise ConfigError(
                f"{operator.name}: {name} is not linear, off by {off:.1e} of its size; operators have no offset, "
                "no clipping and no noise of their own"
            )
    left, right = float((measured * y).double().sum()), float((x * back).double().sum())
    scale = float(measured.double().norm() * y.double().norm()) or 1.0
    mismatch = abs(left - right) / scale
    if not mismatch <= tolerance:
        raise ConfigError(
            f"{operator.name}: the adjoint is not the transpose, <A x, y> = {left:.6g} but <x, A^T y> = {right:.6g} "
            f"(relative {mismatch:.1e}); an up-sampling is no adjoint"
        )
    return mismatch


def _require_real(operator: MeasurementOperator, value: Tensor, what: str) -> None:
    if value.is_complex():
        raise ConfigError(f"{operator.name}: {what} is complex; give real and imaginary part as two channels")
    if not bool(torch.isfinite(value).all()):
        raise ConfigError(f"{operator.name}: {what} holds NaN or Inf for a random finite argument")


def _relative(difference: Tensor, reference: Tensor) -> float:
    return float(difference.double().norm()) / (float(reference.double().norm()) or 1.0)
