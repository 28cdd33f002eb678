"""What must not pass as a success: pictures that are not within epsilon of b, even before they are rounded to files."""

from collections.abc import Iterable, Mapping
from typing import Any

from mcnet_lightning.errors import CertificateError
from mcnet_lightning.restoration.agreement import Agreement

FAILED = ("inconsistent", "inexact", "wrong_adjoint", "non_finite")  # outcomes of a solve, as certificates name them
ROUND_UP = 1.0001  # a suggestion must not fall below what it was made from


def describe_reached(found: Agreement, epsilon: float) -> dict[str, Any]:
    """How near the picture came to b before it was rounded to a file, for its certificate."""
    return {"consistency": found.largest, "epsilon_met": found.meets(epsilon)}


def failure_of(certificate: Mapping[str, Any]) -> str | None:
    """In one sentence, why a certified picture is none to rely on; None where there is nothing of the kind.

    What 8 bit cannot hold is not meant: that is `epsilon_met` of the saved pixels.
    """
    reached, solver = certificate.get("reached"), certificate.get("solver")
    outcome = solver.get("outcome") if isinstance(solver, Mapping) else None
    missed = isinstance(reached, Mapping) and reached.get("epsilon_met") is False
    if not missed and outcome not in FAILED:
        return None
    distance = reached.get("consistency") if isinstance(reached, Mapping) else None
    least = solver.get("attainable") if isinstance(solver, Mapping) else None
    words = [f"the solve ended as {str(outcome).upper()}"] if outcome in FAILED else []
    if isinstance(distance, int | float):
        words.append(f"||A x - b|| = {distance:.4g} before it was saved, where epsilon = {certificate.get('epsilon')}")
    if isinstance(least, int | float):
        words.append(f"the smallest epsilon that can be met is {least:.6g}")
    elif missed and isinstance(distance, int | float):
        words.append(f"an epsilon of {distance * ROUND_UP:.5g} would be met")
    return "; ".join(words)


def raise_if_unmet(certificates: Iterable[Mapping[str, Any]]) -> None:
    """Raises CertificateError that names the first picture of such a kind."""
    found = [
        (certificate.get("file"), sentence) for certificate in certificates if (sentence := failure_of(certificate))
    ]
    if found:
        name, sentence = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise CertificateError(f"{name} does not agree with its measurement{more}: {sentence}")
