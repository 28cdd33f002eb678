"""Time and peak memory against image size, batch and iteration cap: linear, linear, and flat in memory.

    python benchmarks/scaling.py       # ten minutes on 2 cores; the largest image is 2048 x 2048

    size:  inference x2 to tolerance, on a mirrored photograph of that many pixels a side (LR is half of it)
    batch: a training step on that many patches of 48 x 48
    cap:   inference at 256 x 256 to exactly that many evaluations; the tolerance is out of reach

Every figure is of a fresh process, so that none finds memory or caches that another left.
"""

import contextlib
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

import measuring
import torch
from instruments import watched
from problems import Problem, mosaic, patches
from schemes import ours

from mcnet_lightning import AndersonSolver

SERIES = {"size": (128, 256, 512, 1024, 2048), "batch": (4, 16, 64), "cap": (10, 50, 200)}
SMOKE_SERIES = {"size": (32, 64), "batch": (2,), "cap": (5, 10)}
CAP_SIDE, PATCH_SIDE = 256, 48
TOLERANCE = 1e-5
COLUMNS = ("series", "value", "evaluations", "seconds_cpu", "seconds_wall", "peak_mb", "us_per_pixel_evaluation")


def clock(series: str, value: int, device: str) -> dict[str, object]:
    problem, work = prepare(series, value, device)
    with watched(problem.layer) as watch:
        seconds = measuring.timed(work)
    evaluations = watch.evaluations(len(problem.truth))
    return {
        "evaluations": evaluations,
        "seconds_cpu": seconds.cpu,
        "seconds_wall": seconds.wall,
        "us_per_pixel_evaluation": 1e6 * seconds.wall / (problem.truth.numel() * evaluations),
    }


def memory(series: str, value: int, device: str) -> dict[str, object]:
    measuring.return_memory_at_once()
    _, work = prepare(series, value, device)
    return {"peak_mb": measuring.added_memory(work)}


def prepare(series: str, value: int, device: str) -> tuple[Problem, Callable[[], object]]:
    """The problem and its solve. A solve of two evaluations goes before, as a warm-up."""
    problem = patches(value, PATCH_SIDE, 0.0) if series == "batch" else mosaic(CAP_SIDE if series == "cap" else value)
    measuring.prepare(device)
    problem = problem.to(device)
    layer = problem.layer

    @torch.no_grad()
    def solve() -> None:
        layer(problem.prior_image, problem.measurement, problem.operator)

    def train() -> None:
        problem.loss(ours(problem, TOLERANCE)[0]).backward()

    layer.solver = AndersonSolver(TOLERANCE, 2)
    solve()
    layer.solver = AndersonSolver(1e-30, value) if series == "cap" else AndersonSolver(TOLERANCE)
    return problem, train if series == "batch" else solve


def point(series: str, value: int, device: str) -> dict[str, object]:
    """One row; without figures where the system killed the process, for want of memory."""
    row: dict[str, object] = {**dict.fromkeys(COLUMNS), "series": series, "value": value}
    for measure in (clock, memory):
        with contextlib.suppress(BrokenProcessPool):
            row |= measuring.in_fresh_process(measure, series, value, device)
    return row


def main() -> None:
    options = measuring.arguments(__doc__).parse_args()
    series = SMOKE_SERIES if options.smoke else SERIES
    rows = [point(name, value, options.device) for name, values in series.items() for value in values]
    measuring.report("scaling", options.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
