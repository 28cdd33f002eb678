"""Matrix-free conjugate gradients, per sample, for Gram systems (t I + A A^T) z = r."""

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradient(
    apply: Callable[[Tensor], Tensor], rhs: Tensor, tolerance: float, max_iterations: int = 1000
) -> Tensor:
    """Solves M z = rhs for a symmetric positive (semi)definite M that acts on each sample (B, ...) by itself.

    Stops a sample at ||M z - rhs|| <= tolerance ||rhs||; further steps leave it untouched, so that no sample depends on
    its batch-mates. The caller checks the final residual where it matters.
    """
    solution = torch.zeros_like(rhs)
    residual = rhs.clone()
    direction = residual.clone()
    energy = _dot(residual, residual)
    target = tolerance**2 * energy
    for _ in range(max_iterations):
        active = energy > target
        if not bool(active.any()):
            break
        image = apply(direction)
        curvature = _dot(direction, image)
        active &= curvature > 0  # a direction in the null space: nothing more to gain
        if not bool(active.any()):
            break
        step = torch.where(active, energy / curvature.where(active, 1.0), 0.0)
        solution = solution + _spread(step, rhs) * direction
        residual = residual - _spread(step, rhs) * image
        new_energy = torch.where(active, _dot(residual, residual), 0.0)
        direction = residual + _spread(new_energy / energy.where(active, 1.0), rhs) * direction
        energy = new_energy
    return solution


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).flatten(1).sum(dim=1)


def _spread(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))
