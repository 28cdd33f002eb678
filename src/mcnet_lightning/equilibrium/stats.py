"""What a solve did, as values: per-sample outcome, evaluations, residuals, and the distance to the measurement."""

from dataclasses import dataclass, field, replace
from enum import IntEnum

import torch
from torch import Tensor

from mcnet_lightning.errors import ConvergenceError


class Outcome(IntEnum):
    """How the solve of one sample ended."""

    CONVERGED = 0
    MAX_EVALUATIONS = 1
    NON_FINITE = 2
    UNMEASURED = 3
    INCONSISTENT = 4
    INEXACT = 5
    WRONG_ADJOINT = 6

    @property
    def remedy(self) -> str:
        return {
            Outcome.CONVERGED: "nothing to do",
            Outcome.MAX_EVALUATIONS: "raise beta or solver.max_evaluations, or loosen solver.tolerance",
            Outcome.NON_FINITE: "check the image and the denoiser's weights for NaN and Inf",
            Outcome.UNMEASURED: "this method does a fixed amount of work and measures no residual",
            Outcome.INCONSISTENT: "no image agrees with this measurement so closely: raise epsilon",
            Outcome.INEXACT: "the projection ended before it was within epsilon: raise epsilon, give the operator an "
            "eigenbasis or a preconditioner, or check the eigenvalues that it states",
            Outcome.WRONG_ADJOINT: "operator.adjoint is not the transpose of the operator: see check_adjoint",
        }[self]


@dataclass(frozen=True)
class Reached:
    """How near a projection onto { x : ||b - A x|| <= epsilon } came, per sample, on the CPU.

    distance:   (B,) float64, ||A x - b||_2.
    attainable: (B,) float64, the smallest epsilon that any image can meet, where outcome is INCONSISTENT, else NaN.
    outcome:    (B,) int64 of `Outcome`: CONVERGED, INCONSISTENT (no image is so near), INEXACT (the iteration ended
                early), WRONG_ADJOINT, NON_FINITE.
    """

    distance: Tensor
    attainable: Tensor
    outcome: Tensor

    @property
    def missed(self) -> list[int]:
        """The samples that are not within their ball."""
        missed: list[int] = (self.outcome != Outcome.CONVERGED).nonzero().flatten().tolist()
        return missed

    def sentence(self) -> str:
        """Names the first sample that missed its ball, how far it is and what helps."""
        first = self.missed[0]
        outcome = Outcome(int(self.outcome[first]))
        return (
            f"{len(self.missed)} of {len(self.outcome)} samples are not within epsilon of their measurement: sample "
            f"{first} ended as {outcome.name} with ||A x - b|| = {self.distance[first]:.3g}; "
            f"{_remedy(outcome, float(self.attainable[first]))}"
        )


@dataclass(frozen=True)
class SolveStats:
    """Per-sample record of a solve; every tensor lives on the CPU.

    evaluations: (B,) int64, evaluations of T (forward) or vector-Jacobian products (backward).
    residual:    (B,) float64, ||T(y) - y||_2 / ||T(y)||_2 where the solve ended (backward: relative to the right side).
    outcome:     (B,) int64, values of `Outcome`.
    trace:       (K, B) float64, the residual of every evaluation, NaN after a sample has stopped.
    distance:    (B,) float64, ||A x - b||_2 of the image that was returned; NaN where no measurement is known.
    attainable:  (B,) float64, the smallest epsilon that any image can meet, where outcome is INCONSISTENT, else NaN.
    """

    evaluations: Tensor
    residual: Tensor
    outcome: Tensor
    trace: Tensor
    distance: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64))
    attainable: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64))

    def __post_init__(self) -> None:
        for name in ("distance", "attainable"):
            if len(getattr(self, name)) != len(self.outcome):
                object.__setattr__(self, name, torch.full((len(self.outcome),), torch.nan, dtype=torch.float64))

    @property
    def converged(self) -> Tensor:
        """(B,) bool."""
        return self.outcome == Outcome.CONVERGED

    @property
    def failed(self) -> Tensor:
        """(B,) bool: measured, and not within tolerance, or not within epsilon of the measurement."""
        return (self.outcome != Outcome.CONVERGED) & (self.outcome != Outcome.UNMEASURED)

    def raise_if_failed(self) -> None:
        """Raises ConvergenceError that names the first failed sample, its residual and the remedy."""
        failed = self.failed.nonzero().flatten().tolist()
        if failed:
            raise ConvergenceError(f"{len(failed)} of {len(self.outcome)} solves failed: {self.sentence(failed[0])}")

    def raise_if_not_finite(self) -> None:
        """Raises ConvergenceError that names the first sample whose solve ended in NaN or Inf."""
        lost = (self.outcome == Outcome.NON_FINITE).nonzero().flatten().tolist()
        if lost:
            raise ConvergenceError(self.sentence(lost[0]))

    def sentence(self, sample: int) -> str:
        """How the solve of one sample ended, with its figures and the remedy."""
        outcome = Outcome(int(self.outcome[sample]))
        figures = f"residual {self.residual[sample]:.2e} after {int(self.evaluations[sample])} evaluations"
        if not bool(torch.isnan(self.distance[sample])):
            figures += f", ||A x - b|| = {self.distance[sample]:.3g}"
        remedy = _remedy(outcome, float(self.attainable[sample]))
        return f"sample {sample} ended as {outcome.name} with {figures}; {remedy}"

    def at(self, reached: Reached) -> "SolveStats":
        """The same solve, with the distance of its image from the measurement: a missed ball is no success."""
        missed = reached.outcome != int(Outcome.CONVERGED)
        outcome = self.outcome.where(~missed | (self.outcome == int(Outcome.NON_FINITE)), reached.outcome)
        return replace(self, outcome=outcome, distance=reached.distance, attainable=reached.attainable)


def _remedy(outcome: Outcome, attainable: float) -> str:
    """What helps; where no image is near enough, the smallest epsilon that can be met."""
    return outcome.remedy + (f"; the smallest is {attainable:.6g}" if outcome is Outcome.INCONSISTENT else "")


def direct_stats(batch: int, evaluations: int) -> SolveStats:
    """Stats of a method that does a fixed amount of work and measures no residual (NaN)."""
    unknown = torch.full((batch,), torch.nan, dtype=torch.float64)
    ended = torch.full((batch,), int(Outcome.UNMEASURED))
    return SolveStats(torch.full((batch,), evaluations), unknown, ended, unknown[None])
