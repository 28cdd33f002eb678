"""Operators of which nothing is known but A and A^T: Golub and Kahan's bidiagonalisation (1965), as in LSQR (Paige &
Saunders, ACM TOMS 1982), one Krylov space per sample that serves every shift of the secular equation.

After k steps A V = U B with orthonormal U, V and a small bidiagonal B. The projection is then that of a problem with k
unknowns, whose singular values say how far b can be reached; no further application of A is needed for any radius.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.gram import Correction, GramByProducts, inner, norm, per_sample, shift_of, widest
from mcnet_lightning.operators.base import MeasurementOperator, Size

MOST_STEPS = 1000
MOST_BYTES = 2**30  # of both bases
NEXT_LOOK = 1.2  # times as many steps as at the last look at the small problem


class KrylovGram(GramByProducts):
    """A A^T by products. `applications` counts those of A, each with one of A^T."""

    def __init__(self, operator: MeasurementOperator, size: Size) -> None:
        super().__init__(operator, size)
        self.applications = 0

    def correct(self, residual: Tensor, radius: Tensor, slack: Tensor) -> Correction:
        return self._solve(residual, Goal(radius=radius, slack=slack))

    def pseudo_inverse(self, measurement: Tensor) -> Tensor:
        zero = norm(measurement) * 0
        return self.correct(measurement, zero, zero).image

    def inverse(self, coefficients: Tensor, shift: Tensor) -> Tensor:
        zero = torch.zeros_like(shift)
        return self._solve(coefficients, Goal(radius=zero, slack=zero, shift=shift)).multiplier

    @torch.no_grad()
    def _solve(self, right: Tensor, goal: "Goal") -> Correction:
        self.norm = self.norm or self._size_of_adjoint(right)
        space = Space(right, self.operator, self.norm)
        most = min(MOST_STEPS, right[0].numel() + 1)
        look = 0
        for step in range(most):
            space.towards_images(self.operator.adjoint(space.u, self.size))
            if step == most - 1 or space.exhausted or (step >= look and space.may_suffice(goal)):
                space.settle(goal)
                look = max(step + 1, int(step * NEXT_LOOK))
                if bool(space.done.all()) or space.bytes > MOST_BYTES:
                    break
            space.towards_measurements(self.operator(space.v))
            self.applications += 1
        self.wrong_adjoint |= space.wrong_adjoint
        self.ended_early |= bool((~space.done & (goal.radius > 0)).any())
        self.norm = max(self.norm, float(space.scale.nan_to_num(0.0, posinf=0.0).max()))
        return space.correction()

    def _size_of_adjoint(self, like: Tensor) -> float:
        """||A^T y|| / ||y|| of some y, to tell small from large."""
        y = torch.randn(like.shape, generator=torch.Generator().manual_seed(0)).to(like)
        sizes = norm(self.operator.adjoint(y, self.size)) / norm(y)
        return float(sizes.nan_to_num(0.0, posinf=0.0).max())


@dataclass(frozen=True)
class Goal:
    """The radius of the ball, or a shift that is given; (B,) each."""

    radius: Tensor
    slack: Tensor
    shift: Tensor | None = None


class Space:
    """U, V and B of a batch, and the solutions found in them. Small problems are solved in float64 on the CPU."""

    def __init__(self, right: Tensor, operator: MeasurementOperator, scale: float) -> None:
        self.shape, self.batch = right.shape, len(right)
        self.eps = operator.resolution(right.dtype)
        self.rank_tolerance = operator.rank_tolerance(right.dtype)
        self.right = right
        self.finite = torch.isfinite(right).flatten(1).all(dim=1)
        self.length = norm(right)
        self.us, self.vs = Basis(), Basis()
        self.alphas: list[Tensor] = []
        self.betas: list[Tensor] = []  # below the diagonal: beta_2, ...
        self.scale = torch.full_like(self.length, scale)  # of A: the largest alpha or beta so far
        self._add(self.us, right.flatten(1), self.length)
        self.wrong_adjoint = False
        self.done = ~self.finite | (self.length == 0)
        self.remaining = self.length.clone()  # ||r - A V y|| at its least, by LSQR's rotations
        self.next_pivot = torch.zeros_like(self.length)
        self.y, self.w = [torch.zeros(self.batch, 0, dtype=torch.float64) for _ in range(2)]
        self.shift = torch.zeros(self.batch, dtype=torch.float64)
        self.attainable = torch.full((self.batch,), torch.nan, dtype=torch.float64)

    @property
    def u(self) -> Tensor:
        return self.us.newest.view(self.shape)

    @property
    def v(self) -> Tensor:
        return self.vs.newest.view(self.image_shape)

    @property
    def bytes(self) -> int:
        return self.us.bytes + self.vs.bytes

    @property
    def exhausted(self) -> bool:
        """Whether there is no next direction, for any sample."""
        return not bool((self.alphas[-1] > 0).any())

    def towards_images(self, image: Tensor) -> None:
        """alpha_{k+1} v_{k+1} = A^T u_{k+1} - beta_{k+1} v_k."""
        self.image_shape = image.shape
        self._extend(self.vs, self.alphas, image.flatten(1))
        if not self.betas:
            self.next_pivot = self.alphas[-1]
            return
        pivot = torch.hypot(self.next_pivot, self.betas[-1])
        safe = pivot.where(pivot > 0, 1.0)
        self.remaining = self.remaining * (self.betas[-1] / safe)
        self.next_pivot = self.next_pivot / safe * self.alphas[-1]

    def may_suffice(self, goal: "Goal") -> bool:
        """Whether the small problem is worth a look: a sample has come near its ball, or as near as it can."""
        near = self.remaining <= torch.maximum(goal.radius, 16 * self.eps * self.length) + goal.slack
        stationary = self.next_pivot <= 16 * self.eps * self.scale
        given = goal.shift is not None and bool((goal.shift > 0).any())
        return given or bool(((near | stationary) & ~self.done).any()) or bool(self.done.all())

    def towards_measurements(self, measured: Tensor) -> None:
        """beta_{k+1} u_{k+1} = A v_k - alpha_k u_k; <A v_k, u_k> = alpha_k, if the transpose is one."""
        measured = measured.flatten(1)
        off = (inner(measured, self.us.newest) - self.alphas[-1]).abs()
        self.wrong_adjoint |= bool(((off > 4 * self.eps**0.5 * self.scale) & ~self.done).any())
        self._extend(self.us, self.betas, measured)

    def settle(self, goal: Goal) -> None:
        """Solves the small problems with what there is and says who is done: the last column, which has been begun
        by `towards_images`, tells how much there is to gain.
        """
        k = len(self.betas)
        ahead = self.alphas[-1].cpu().double()
        small = torch.zeros(self.batch, k + 1, k, dtype=torch.float64)
        for i in range(k):
            small[:, i, i], small[:, i + 1, i] = self.alphas[i].cpu().double(), self.betas[i].cpu().double()
        small = small.nan_to_num(0.0, posinf=0.0)
        finite = torch.isfinite(small).flatten(1).all(dim=1) & torch.isfinite(self.length).cpu()
        small = small.where(finite[:, None, None], 0.0)
        length = self.length.cpu().double().where(finite, 0.0)
        left, singular, _ = torch.linalg.svd(small)
        energies = torch.cat([singular.square(), singular.new_zeros(self.batch, 1)], dim=1)
        largest = energies.amax(dim=1, keepdim=True)
        measured = energies > self.rank_tolerance * largest
        energies = energies.where(measured, 0.0)
        found = length[:, None] * left[:, 0, :]  # the right side in the singular basis
        beyond = (found.square() * ~measured).sum(1)
        radius, slack = goal.radius.cpu().double(), goal.slack.cpu().double()
        if goal.shift is None:
            shift, attainable = shift_of(found.square() * measured, energies, beyond, radius, slack)
        else:
            shift, attainable = goal.shift.cpu().double(), torch.full_like(beyond, torch.nan)
        total = energies + shift[:, None]
        w = (left * (found / total.where(total > 0, torch.inf))[:, None, :]).sum(2)
        y = (small.mT @ w[:, :, None])[:, :, 0]
        what_is_left = length[:, None] * torch.eye(1, k + 1, dtype=torch.float64) - (small @ y[:, :, None])[:, :, 0]
        scale = self.scale.cpu().double()
        distance = what_is_left.norm(dim=1)
        # the gradient of the distance, and the error of y: what the next direction could still change
        stationary = ahead * what_is_left[:, -1].abs() <= 16 * self.eps * scale * distance
        accurate = ahead * w[:, -1].abs() <= 16 * self.eps * y.norm(dim=1)
        tight = shift == 0
        met = distance <= torch.maximum(slack / 4, 16 * self.eps * length)
        done = torch.where(tight, met | stationary, accurate & torch.isnan(attainable))
        done |= stationary & ~torch.isnan(attainable)
        done |= torch.isinf(shift) | ~finite | (ahead == 0)
        going = ~self.done.cpu()
        self.y, self.w = (_kept(old, new, going) for old, new in ((self.y, y), (self.w, w)))
        self.shift = shift.where(going, self.shift)
        self.attainable = attainable.where(going & stationary, self.attainable)
        self.done = self.done | done.to(self.done.device)

    def correction(self) -> Correction:
        device, wide = self.right.device, widest(self.right.device)
        image = self.vs.combined(self.y).view(self.image_shape)
        multiplier = self.us.combined(self.w).view(self.shape)
        broken = per_sample(~self.finite, image) > 0
        return Correction(
            image.masked_fill(broken, torch.nan),
            multiplier,
            self.shift.to(device, wide),
            self.attainable.to(device, wide),
        )

    def _extend(self, basis: "Basis", sizes: list[Tensor], vector: Tensor) -> None:
        """The next vector, orthogonal to all before it (the recurrence's own term included), and its length."""
        before = norm(vector)
        self.finite = self.finite & torch.isfinite(before)
        self.done = self.done | ~self.finite
        self.scale = torch.maximum(self.scale, before.nan_to_num(0.0, posinf=0.0))
        vector = basis.without(vector)
        length = norm(vector)
        length = length.where(length > 8 * self.eps * self.scale, 0.0)
        self._add(basis, vector, length)
        sizes.append(length)

    def _add(self, basis: "Basis", vector: Tensor, length: Tensor) -> None:
        sound = torch.isfinite(length) & (length > 0)
        unit = vector / per_sample(length.where(sound, 1.0), vector)
        basis.append(unit.where(sound[:, None], 0.0))


class Basis:
    """Orthonormal vectors (B, n), one after another, in memory that doubles."""

    def __init__(self) -> None:
        self.count = 0
        self.vectors = torch.empty(0)

    @property
    def newest(self) -> Tensor:
        return self.vectors[:, self.count - 1]

    @property
    def bytes(self) -> int:
        return self.vectors.numel() * self.vectors.element_size()

    def append(self, vector: Tensor) -> None:
        if self.count == 0:
            self.vectors = vector.new_empty(len(vector), 8, vector.shape[1])
        elif self.count == self.vectors.shape[1]:
            self.vectors = torch.cat([self.vectors, torch.empty_like(self.vectors)], dim=1)
        self.vectors[:, self.count] = vector
        self.count += 1

    def without(self, vector: Tensor) -> Tensor:
        """The vector less its part in the span: twice is enough (Giraud et al. 2005)."""
        if self.count == 0:
            return vector
        known = self.vectors[:, : self.count]
        row = vector.unsqueeze(1)
        for _ in range(2):
            row = torch.baddbmm(row, torch.bmm(row, known.mT), known, alpha=-1)
        return row.squeeze(1)

    def combined(self, weights: Tensor) -> Tensor:
        """sum_k weights_k v_k, (B, n), of the first ones."""
        used = weights.shape[1]
        return torch.bmm(weights.to(self.vectors).unsqueeze(1), self.vectors[:, :used]).squeeze(1)


def _kept(old: Tensor, new: Tensor, going: Tensor) -> Tensor:
    """`new` for the samples that were still going, `old` with zeros behind it for the others."""
    padded = torch.nn.functional.pad(old, (0, new.shape[1] - old.shape[1]))
    return new.where(going[:, None], padded)
