"""What must not end as a success: epsilon that is not met, and images that nothing finite could be made of."""

import math
from dataclasses import dataclass, field

from mcnet_lightning.equilibrium import Outcome, SolveStats
from mcnet_lightning.errors import CertificateError, ConvergenceError, MCNetError
from mcnet_lightning.evaluation.records import Record, meets

ROUND_UP = 1.0001  # a suggestion must not fall below what it was made from
# outcomes of a solve whose image is not within epsilon of its measurement
UNMET = (Outcome.INCONSISTENT, Outcome.INEXACT, Outcome.WRONG_ADJOINT)


@dataclass
class Failures:
    """Sentences with the kind of error that each of them is, in the order in which they came up."""

    sentences: list[tuple[str, type[MCNetError]]] = field(default_factory=list)

    def add(self, sentence: str, kind: type[MCNetError]) -> None:
        self.sentences.append((sentence, kind))

    def raise_first(self) -> None:
        """Raises the first failure, NaN before everything else, and says how many more there are."""
        if not self.sentences:
            return
        order = sorted(self.sentences, key=lambda entry: entry[1] is CertificateError)
        sentence, kind = order[0]
        more = len(order) - 1
        raise kind(sentence + (f" (and {more} more, named above)" if more else ""))


def ended(stats: SolveStats) -> str:
    """How the solve of one image ended; the image's own name goes before it."""
    return f"the solve {stats.sentence(0).removeprefix('sample 0 ')}"


def failure_of(record: Record, stats: SolveStats | None, values: int) -> tuple[str, type[MCNetError]] | None:
    """How a method failed on an image: NaN on the way, or no image within epsilon of b; None where neither is so.

    The distance is measured on the image itself, so that it counts whatever the solve says; what that says counts, too.
    """
    outcome = None if stats is None else Outcome(int(stats.outcome[0]))
    where = f"{record.dataset}, {record.image}: {record.method}"
    if stats is not None and outcome == Outcome.NON_FINITE:
        return f"{where}: {ended(stats)}", ConvergenceError
    if record.epsilon is None or (outcome not in UNMET and meets(record.consistency, record.epsilon, values)):
        return None
    how = "" if outcome not in UNMET else f" ended as {Outcome(outcome).name}:"
    least = math.nan if stats is None else float(stats.attainable[0])
    remedy = (
        f"the smallest epsilon that can be met is {least:.6g}"
        if least > record.epsilon
        else f"an epsilon of {record.consistency * ROUND_UP:.5g} would be met"
    )
    if outcome in (Outcome.INEXACT, Outcome.WRONG_ADJOINT):
        remedy += f"; {Outcome(outcome).remedy}"
    return (
        f"{where}{how} ||A x - b|| = {record.consistency:.4g}, where epsilon = {record.epsilon:.4g} was asked for; "
        f"{remedy}"
    ), CertificateError
