"""Stage 2 of the paper: a coarse grid for beta, with the layer as it is, before anything of it is trained."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mcnet_lightning.backbones import FrozenBackbone
from mcnet_lightning.data import WholeImages
from mcnet_lightning.equilibrium import EquilibriumLayer, MeasurementBall, Outcome
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import CertificateError, ConvergenceError
from mcnet_lightning.evaluation.failures import ROUND_UP, UNMET, ended
from mcnet_lightning.evaluation.metrics import consistency, headroom
from mcnet_lightning.evaluation.records import meets
from mcnet_lightning.files import write_csv
from mcnet_lightning.problems import figure


@dataclass(frozen=True)
class BetaRow:
    """What one beta gives: means over images of the problem's headline figure, in dB as a rule, and the share of images
    whose fixed point was reached.
    """

    beta: float
    quality: float
    gain: float  # over the backbone
    gain_over_projection: float  # over the backbone's output, projected
    evaluations: float
    converged: float
    headroom: float = 0.0  # what a perfect b could add to the backbone at most, the same for every beta


@torch.no_grad()
def search_beta(
    layer: EquilibriumLayer,
    backbone: FrozenBackbone,
    images: WholeImages,
    betas: Sequence[float],
    epsilon: float | Epsilon = 0.0,
    device: torch.device | None = None,
) -> Iterator[BetaRow]:
    """One row per beta, as soon as it is known. Leaves the layer with the last beta and no floor below it.

    Raises CertificateError where epsilon is not met, which no beta would change, and ConvergenceError where a solve
    ends in NaN or Inf; both name the image.
    """
    device, epsilon = device or torch.device("cpu"), Epsilon.of(epsilon)
    layer, backbone = layer.to(device).eval(), backbone.to(device)
    problem, solved = images.problem, []
    for image in (images[index] for index in range(len(images))):
        seen = image["observation"].to(device)
        truth, b, operator = seen.truth, seen.measurement, seen.operator
        w = backbone.prior_image(image, device)
        radius = problem.radii(epsilon, seen)
        projected, _ = MeasurementBall(b, operator, radius).reach(w)  # judged below
        _check_met(image["name"], consistency(projected, b, operator).item(), radius.item(), b[0].numel())
        room = headroom(w, seen, problem).item()
        qualities = (problem.headline(x, truth).item() for x in (w, projected))
        solved.append((image["name"], seen, w, radius, room, *qualities))
    sign = -1.0 if figure(problem.figures[0]).smaller_is_better else 1.0
    for beta in betas:
        layer.set_prior_weight(beta)
        figures = []
        for name, seen, w, radius, room, of_backbone, of_projection in solved:
            result = layer(w, seen.measurement, seen.operator, radius)
            reached = problem.headline(result.estimate, seen.truth).item()
            stats = result.stats
            outcome = Outcome(int(stats.outcome[0]))
            if outcome in UNMET or outcome == Outcome.NON_FINITE:
                kind = CertificateError if outcome in UNMET else ConvergenceError
                raise kind(f"{name}: beta={beta:g}: {ended(stats)}")
            figures.append(
                (
                    reached,
                    sign * (reached - of_backbone),
                    sign * (reached - of_projection),
                    float(stats.evaluations[0]),
                    float(stats.converged[0]),
                    room,
                )
            )
        means: Tensor = torch.tensor(figures, dtype=torch.float64).mean(dim=0)
        yield BetaRow(beta, *means.tolist())


def _check_met(name: str, distance: float, radius: float, values: int) -> None:
    if not meets(distance, radius, values):
        raise CertificateError(
            f"{name}: the projection reaches ||A x - b|| = {distance:.4g}, where epsilon = {radius:.4g} was asked for; "
            f"an epsilon of {distance * ROUND_UP:.5g} would be met"
        )


def best_beta(rows: Sequence[BetaRow]) -> BetaRow:
    """The row that gains most among those whose every image converged. Raises ConvergenceError if there is none."""
    settled = _settled(rows)
    if not settled:
        raise ConvergenceError(
            f"no beta of {', '.join(f'{row.beta:g}' for row in rows)} converged on every held-out image; "
            "add larger ones to betas, or raise solver.max_evaluations"
        )
    return max(settled, key=lambda row: row.gain)


def _settled(rows: Sequence[BetaRow]) -> list[BetaRow]:
    return [row for row in rows if row.converged == 1.0]


def write_rows(path: Path, rows: Sequence[BetaRow], name: str = "psnr_y") -> None:
    """Writes the table under its final name in one step; `name`: of the headline figure."""
    columns = [name if field.name == "quality" else field.name for field in fields(BetaRow)]
    texts = ([f"{value:.9g}" for value in astuple(row)] for row in rows)
    write_csv(path, columns, [dict(zip(columns, text, strict=True)) for text in texts])


def print_rows(rows: Sequence[BetaRow], title: str, name: str = "psnr_y") -> None:
    """The table, the best row in bold; `name`: of the headline figure."""
    shown = figure(name)
    best = max(_settled(rows), key=lambda row: row.gain, default=None)
    table = Table(title=title, min_width=len(title))
    for heading in ("beta", shown.heading, "gain", "gain over projection", "headroom", "evals", "converged"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row.beta:g}",
            f"{row.quality:{shown.form}}",
            f"{row.gain:{shown.signed}}",
            f"{row.gain_over_projection:{shown.signed}}",
            f"{row.headroom:{shown.form}}",
            f"{row.evaluations:.1f}",
            f"{row.converged:.0%}",
            style="bold" if row is best else "",
        )
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)
