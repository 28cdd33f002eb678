"""Stats: failures are values, and say what to do."""

import pytest
import torch

from mcnet_lightning.equilibrium import Outcome, SolveStats
from mcnet_lightning.errors import ConvergenceError


def stats(*outcomes: Outcome) -> SolveStats:
    batch = len(outcomes)
    residual = torch.linspace(0.5, 0.1, batch).double()
    return SolveStats(torch.arange(batch) + 7, residual, torch.tensor(outcomes), residual[None])


def test_converged_says_which() -> None:
    assert stats(Outcome.CONVERGED, Outcome.MAX_EVALUATIONS).converged.tolist() == [True, False]


def test_success_raises_nothing() -> None:
    stats(Outcome.CONVERGED, Outcome.CONVERGED).raise_if_failed()


@pytest.mark.parametrize(
    ("outcome", "remedy"), [(Outcome.MAX_EVALUATIONS, "raise beta"), (Outcome.NON_FINITE, "NaN and Inf")]
)
def test_failure_names_the_sample_its_residual_and_the_remedy(outcome: Outcome, remedy: str) -> None:
    message = rf"^2 of 3 .*sample 1 ended as {outcome.name} with residual 3\.00e-01 after 8 evaluations; .*{remedy}"
    with pytest.raises(ConvergenceError, match=message):
        stats(Outcome.CONVERGED, outcome, outcome).raise_if_failed()


def test_a_method_that_measures_no_residual_has_not_failed() -> None:
    unmeasured = stats(Outcome.UNMEASURED)
    assert not unmeasured.converged.any()
    unmeasured.raise_if_failed()
