"""Stage 2 of the paper: a coarse grid for beta, with the layer as it is, before anything of it is trained."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mcnet_lightning.backbones import FrozenBackbone
from mcnet_lightning.data import WholeImages
from mcnet_lightning.equilibrium import EquilibriumLayer, Outcome, project_measurement_ball
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import CertificateError, ConvergenceError
from mcnet_lightning.evaluation.failures import ROUND_UP, UNMET, ended
from mcnet_lightning.evaluation.metrics import consistency, headroom, psnr
from mcnet_lightning.evaluation.records import meets
from mcnet_lightning.files import write_csv


@dataclass(frozen=True)
class BetaRow:
    """What one beta gives: means over images, in dB, and the share of images whose fixed point was reached."""

    beta: float
    psnr_y: float
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
    degradation = images.degradation
    operator, border, protocol = degradation.operator, degradation.scale, degradation.protocol
    problems = []
    for image in (images[index] for index in range(len(images))):
        truth, b = image["truth"].to(device), image["measurement"].to(device)
        w = backbone.prior_image(image, device)
        radius = epsilon.radii(b, operator)
        projected = project_measurement_ball(w, b, operator, radius, lambda reached: None)  # judged below
        _check_met(image["name"], consistency(projected, b, operator).item(), radius.item(), b[0].numel())
        room = headroom(w, truth, operator, border, protocol).item()
        qualities = (psnr(x, truth, border, protocol).item() for x in (w, projected))
        problems.append((image["name"], truth, b, w, radius, room, *qualities))
    for beta in betas:
        layer.set_prior_weight(beta)
        figures = []
        for name, truth, b, w, radius, room, of_backbone, of_projection in problems:
            result = layer(w, b, operator, radius)
            reached = psnr(result.estimate, truth, border, protocol).item()
            stats = result.stats
            outcome = Outcome(int(stats.outcome[0]))
            if outcome in UNMET or outcome == Outcome.NON_FINITE:
                kind = CertificateError if outcome in UNMET else ConvergenceError
                raise kind(f"{name}: beta={beta:g}: {ended(stats)}")
            figures.append(
                (
                    reached,
                    reached - of_backbone,
                    reached - of_projection,
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
    """The row of highest PSNR among those whose every image converged. Raises ConvergenceError if there is none."""
    settled = _settled(rows)
    if not settled:
        raise ConvergenceError(
            f"no beta of {', '.join(f'{row.beta:g}' for row in rows)} converged on every held-out image; "
            "add larger ones to betas, or raise solver.max_evaluations"
        )
    return max(settled, key=lambda row: row.psnr_y)


def _settled(rows: Sequence[BetaRow]) -> list[BetaRow]:
    return [row for row in rows if row.converged == 1.0]


def write_rows(path: Path, rows: Sequence[BetaRow]) -> None:
    """Writes the table under its final name in one step."""
    columns = [field.name for field in fields(BetaRow)]
    write_csv(path, columns, ({name: f"{value:.9g}" for name, value in asdict(row).items()} for row in rows))


def print_rows(rows: Sequence[BetaRow], title: str) -> None:
    """The table, the best row in bold."""
    best = max(_settled(rows), key=lambda row: row.psnr_y, default=None)
    table = Table(title=title, min_width=len(title))
    for heading in ("beta", "PSNR", "gain", "gain over projection", "headroom", "evals", "converged"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row.beta:g}",
            f"{row.psnr_y:.3f}",
            f"{row.gain:+.3f}",
            f"{row.gain_over_projection:+.3f}",
            f"{row.headroom:.3f}",
            f"{row.evaluations:.1f}",
            f"{row.converged:.0%}",
            style="bold" if row is best else "",
        )
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)
