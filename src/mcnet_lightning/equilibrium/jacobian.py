"""Local estimates at a fixed point: how T stretches (norm) and how it contracts in the long run (spectral radius).

Both are estimates from below; power iteration never certifies.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LocalJacobian:
    """Per sample, (B,) float64: the largest singular value of dT/dy, and the modulus of its largest eigenvalue."""

    norm: Tensor
    spectral_radius: Tensor


def local_jacobian(
    fixed_point_map: Callable[[Tensor], Tensor], state: Tensor, steps: int = 20, seed: int = 0
) -> LocalJacobian:
    """Golub-Kahan and Arnoldi estimates after `steps` products with dT/dy at `state` (B, ...)."""
    with torch.enable_grad():
        leaf = state.detach().requires_grad_()
        applied = fixed_point_map(leaf)
        cotangent = torch.zeros_like(applied, requires_grad=True)
        pulled = torch.autograd.grad(applied, leaf, cotangent, create_graph=True)[0]

    def vjp(vector: Tensor) -> Tensor:
        return torch.autograd.grad(applied, leaf, vector.view_as(applied), retain_graph=True)[0].flatten(1)

    def jvp(vector: Tensor) -> Tensor:  # the derivative of v -> J^T v is J: two reverse passes make a forward one
        return torch.autograd.grad(pulled, cotangent, vector.view_as(leaf), retain_graph=True)[0].flatten(1)

    generator = torch.Generator(device="cpu").manual_seed(seed)
    start = torch.randn(state.shape, generator=generator).to(state).flatten(1)
    return LocalJacobian(_largest_singular_value(jvp, vjp, start, steps), _spectral_radius(vjp, start, steps))


def _largest_singular_value(
    jvp: Callable[[Tensor], Tensor], vjp: Callable[[Tensor], Tensor], start: Tensor, steps: int
) -> Tensor:
    vector = start / start.norm(dim=1, keepdim=True)
    size = vector.new_zeros(len(vector))
    for _ in range(steps):
        image = jvp(vector)
        size = image.norm(dim=1)
        vector = vjp(image)
        vector = vector / vector.norm(dim=1, keepdim=True).clamp_min(torch.finfo(vector.dtype).tiny)
    return size.cpu().double()


def _spectral_radius(vjp: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> Tensor:
    """Largest Ritz value of J^T, which has the eigenvalues of J, on a Krylov space of `steps` dimensions."""
    steps = min(steps, start.shape[1])
    basis = [start / start.norm(dim=1, keepdim=True)]
    hessenberg = torch.zeros(len(start), steps + 1, steps, dtype=torch.float64)
    for k in range(steps):
        image = vjp(basis[k])
        for _ in range(2):
            for i, direction in enumerate(basis):
                overlap = (direction * image).sum(dim=1, keepdim=True)
                image = image - overlap * direction
                hessenberg[:, i, k] += overlap.squeeze(1).cpu().double()
        length = image.norm(dim=1, keepdim=True)
        hessenberg[:, k + 1, k] = length.squeeze(1).cpu().double()
        basis.append(image / length.clamp_min(torch.finfo(image.dtype).tiny))
    square = hessenberg[:, :-1]
    finite = torch.isfinite(square).flatten(1).all(dim=1)  # LAPACK's eigenvalues of NaN can end the process
    radius = torch.linalg.eigvals(square.where(finite[:, None, None], 0.0)).abs().amax(dim=1)
    return radius.where(finite, torch.nan)
