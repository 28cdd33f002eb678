"""Matrix-free conjugate gradients, per sample, for Gram systems (t I + A A^T) z = r."""

from collections.abc import Callable
from enum import IntEnum

import torch
from torch import Tensor

STALE = 100  # iterations without a smaller residual: rounding errors in directions that M does not see


class Ended(IntEnum):
    """How the solve of one sample ended."""

    SOLVED = 0
    MAX_ITERATIONS = 1
    NULL_DIRECTION = 2  # zero curvature, or no progress any more: what is left of the right side is out of reach
    NEGATIVE_CURVATURE = 3  # the map is not positive semidefinite: as a rule, a wrong adjoint
    NON_FINITE = 4


def conjugate_gradient(
    gram: Callable[[Tensor], Tensor],
    rhs: Tensor,
    tolerance: float,
    shift: Tensor | None = None,
    max_iterations: int = 1000,
    precondition: Callable[[Tensor], Tensor | None] | None = None,
    start: Tensor | None = None,
    record: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Solves M z = rhs, M = t I + G, for a symmetric positive (semi)definite G that acts on each sample (B, ...) by
    itself, and t = `shift` (B,), or none.

    Stops a sample at ||M z - rhs|| <= tolerance ||rhs||; further steps leave it untouched, so that no sample depends on
    its batch-mates. `precondition` gives something near M^{-1} r, positive definite, or None. `record` receives how
    every sample ended, (B,) of `Ended`.
    """

    def apply(z: Tensor) -> Tensor:
        return gram(z) if shift is None else gram(z) + _per_sample(shift.to(z), z) * z

    def preconditioned(r: Tensor) -> Tensor:
        made = None if precondition is None else precondition(r)
        return r if made is None else made

    solution = torch.zeros_like(rhs) if start is None else start.clone()
    residual = rhs.clone() if start is None else rhs - apply(start)
    target = tolerance**2 * _dot(rhs, rhs)
    towards = preconditioned(residual)
    direction, energy = towards.clone(), _dot(residual, towards)
    ended = torch.full((len(rhs),), int(Ended.MAX_ITERATIONS), device=rhs.device)
    best, smallest = solution, _dot(residual, residual)
    stale = torch.zeros_like(ended)
    for _ in range(max_iterations):
        size = _dot(residual, residual)
        best = torch.where(_per_sample(size <= smallest, rhs), solution, best)
        stale = torch.where(size < smallest, 0, stale + 1)
        smallest = torch.minimum(size, smallest)
        ended = _where(ended, stale > STALE, Ended.NULL_DIRECTION)
        ended = _where(ended, size <= target, Ended.SOLVED)
        ended = _where(ended, ~torch.isfinite(size), Ended.NON_FINITE)
        active = ended == int(Ended.MAX_ITERATIONS)
        if not bool(active.any()):
            break
        image = apply(direction)
        curvature = _dot(direction, image)
        rounding = torch.finfo(rhs.dtype).eps * (_dot(direction, direction) * _dot(image, image)).sqrt()
        ended = _where(ended, curvature < -rounding, Ended.NEGATIVE_CURVATURE)
        ended = _where(ended, curvature <= 0, Ended.NULL_DIRECTION)
        active = ended == int(Ended.MAX_ITERATIONS)
        if not bool(active.any()):
            break
        step = torch.where(active, energy / curvature.where(active, 1.0), 0.0)
        solution = solution + _per_sample(step, rhs) * direction
        residual = residual - _per_sample(step, rhs) * image
        towards = preconditioned(residual)
        new_energy = torch.where(active, _dot(residual, towards), 0.0)
        direction = towards + _per_sample(new_energy / energy.where(active, 1.0), rhs) * direction
        energy = new_energy
    size = _dot(residual, residual)
    if record is not None:
        record(_where(ended, size <= target, Ended.SOLVED))
    return torch.where(_per_sample(size <= smallest, rhs), solution, best)


def _where(ended: Tensor, condition: Tensor, reason: Ended) -> Tensor:
    """Samples that are still going and meet the condition end for that reason."""
    going = ended == int(Ended.MAX_ITERATIONS)
    return ended.masked_fill(going & condition, int(reason))


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).flatten(1).sum(dim=1)


def _per_sample(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))
