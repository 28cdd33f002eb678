"""What a solve did, as values: per-sample outcome, evaluations and residuals."""

from dataclasses import dataclass
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

    @property
    def remedy(self) -> str:
        return {
            Outcome.CONVERGED: "nothing to do",
            Outcome.MAX_EVALUATIONS: "raise beta or solver.max_evaluations, or loosen solver.tolerance",
            Outcome.NON_FINITE: "check the image and the denoiser's weights for NaN and Inf",
            Outcome.UNMEASURED: "this method does a fixed amount of work and measures no residual",
        }[self]


@dataclass(frozen=True)
class SolveStats:
    """Per-sample record of a solve; every tensor lives on the CPU.

    evaluations: (B,) int64, evaluations of T (forward) or vector-Jacobian products (backward).
    residual:    (B,) float64, ||T(y) - y||_2 / ||T(y)||_2 where the solve ended (backward: relative to the right side).
    outcome:     (B,) int64, values of `Outcome`.
    trace:       (K, B) float64, the residual of every evaluation, NaN after a sample has stopped.
    """

    evaluations: Tensor
    residual: Tensor
    outcome: Tensor
    trace: Tensor

    @property
    def converged(self) -> Tensor:
        """(B,) bool."""
        return self.outcome == Outcome.CONVERGED

    @property
    def failed(self) -> Tensor:
        """(B,) bool: measured, and not within tolerance."""
        return (self.outcome == Outcome.MAX_EVALUATIONS) | (self.outcome == Outcome.NON_FINITE)

    def raise_if_failed(self) -> None:
        """Raises ConvergenceError that names the first failed sample, its residual and the remedy."""
        failed = self.failed.nonzero().flatten().tolist()
        if failed:
            outcome = Outcome(int(self.outcome[failed[0]]))
            raise ConvergenceError(
                f"{len(failed)} of {len(self.outcome)} fixed points not reached: sample {failed[0]} ended as "
                f"{outcome.name} with residual {self.residual[failed[0]]:.2e} after "
                f"{int(self.evaluations[failed[0]])} evaluations; {outcome.remedy}"
            )


def direct_stats(batch: int, evaluations: int) -> SolveStats:
    """Stats of a method that does a fixed amount of work and measures no residual (NaN)."""
    unknown = torch.full((batch,), torch.nan, dtype=torch.float64)
    ended = torch.full((batch,), int(Outcome.UNMEASURED))
    return SolveStats(torch.full((batch,), evaluations), unknown, ended, unknown[None])
