"""Our solver against the published settings, torchdeq and deepinv: same map, weights and tolerance, in one run.

    python benchmarks/compare.py --quick         # bundled files only, crops of 144 pixels
    python benchmarks/compare.py                 # the embedded photographs as they are: an hour
    python benchmarks/compare.py --data DIR      # DIR/test/Set5 instead

Writes compare.csv (means over images), compare_images.csv (every image) and compare.md (tables, machine, ratios).
Each scheme runs once for counts and accuracy; times are medians of rounds in which each runs once more; memory is of
a last visit in a fresh process, on the first image.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import measuring
import torch
from comparison import LARGEST_PSNR_DELTA, Figures, write_comparison
from instruments import watched
from problems import Problem, converged_estimate, converged_gradient, images, patches
from schemes import (
    OURS,
    PUBLISHED_ACCURATE,
    TRAINING_ONLY,
    Scheme,
    load_schemes,
    published_where_accurate,
)
from torch import Tensor

TRAIN_TOLERANCE = 1e-5
INFER_TOLERANCE = 1e-5  # PSNR within 0.005 dB of the fixed point
EPSILON = 0.1  # l2, per patch and per image; without it the fixed points are at 0.15 to 2: it is active everywhere


@dataclass(frozen=True)
class Scenario:
    name: str
    training: bool
    tolerance: float
    repetitions: int
    problems: list[Problem]

    def run(self, scheme: Scheme, problem: Problem) -> tuple[Tensor, Tensor]:
        problem.layer.zero_grad()
        with torch.set_grad_enabled(self.training):
            estimate, state = scheme(problem, self.tolerance)
            if self.training:
                problem.loss(estimate).backward()
        return estimate.detach(), state


@dataclass(frozen=True)
class Extent:
    """How much is measured. batch and side of the training step; crop and number of images, None for all of them."""

    words: str
    batch: int = 16
    side: int = 48
    crop: int | None = None
    limit: int | None = None
    train_repetitions: int = 5
    infer_repetitions: int = 1


EXTENTS = {
    "full": Extent("whole images"),
    "quick": Extent("quick: central crops of 144 x 144", crop=144, limit=2, train_repetitions=3),
    "smoke": Extent("SMOKE TEST: these figures mean nothing", 2, 24, 64, 1, 1),
}


def scenarios(extent: Extent, data: Path | None, device: str) -> Iterator[Scenario]:
    for suffix, epsilon in (("", 0.0), ("_epsilon", EPSILON)):
        problem = patches(extent.batch, extent.side, epsilon).to(device)
        yield Scenario(f"train_step{suffix}", True, TRAIN_TOLERANCE, extent.train_repetitions, [problem])
    for suffix, scale, epsilon in (("", 2, 0.0), ("", 3, 0.0), ("", 4, 0.0), ("_epsilon", 2, EPSILON)):
        problems = [each.to(device) for each in images(scale, epsilon, data, extent.crop, extent.limit)]
        yield Scenario(f"infer_x{scale}{suffix}", False, INFER_TOLERANCE, extent.infer_repetitions, problems)


def measure(
    scenario: Scenario, schemes: dict[str, Scheme], where_accurate: bool, failures: dict[str, str]
) -> list[Figures]:
    """Every scheme on every problem: once for counts and accuracy, which warms it up, then against the clock. A scheme
    that raises drops out, with its reason; ours must not. where_accurate: `published_settings_accurate`, too.
    """
    chosen = {name: scheme for name, scheme in schemes.items() if scenario.training or name not in TRAINING_ONLY}
    found: list[Figures] = []
    truths = [converged(scenario, problem) for problem in scenario.problems]
    if where_accurate and not scenario.training:
        psnrs = [float(truth) for truth in truths]
        chosen[PUBLISHED_ACCURATE] = published_where_accurate(scenario.problems, psnrs, LARGEST_PSNR_DELTA)
    for problem, truth in zip(scenario.problems, truths, strict=True):
        figures: dict[str, Figures] = {}
        for name, scheme in chosen.items():
            try:
                figures[name] = examine(scenario, problem, name, scheme, truth)
            except RuntimeError as error:
                if name == OURS:
                    raise
                failures[f"{scenario.name}, {problem.name}, {name}"] = str(error).splitlines()[0]
        works = {name: partial(scenario.run, chosen[name], problem) for name in figures}
        seconds = measuring.interleaved(works, scenario.repetitions)
        found += [
            replace(each, seconds_cpu=seconds[name].cpu, seconds_wall=seconds[name].wall)
            for name, each in figures.items()
        ]
        words = ", ".join(f"{name} {each.wall:.2f} s" for name, each in seconds.items())
        print(f"{scenario.name} {problem.name}: {words}", flush=True)
    return found


def converged(scenario: Scenario, problem: Problem) -> Tensor | float:
    """The float64 gradient, or the PSNR of the float64 estimate."""
    return converged_gradient(problem) if scenario.training else problem.psnr(converged_estimate(problem))


def examine(scenario: Scenario, problem: Problem, name: str, scheme: Scheme, truth: Tensor | float) -> Figures:
    with watched(problem.layer) as watch:
        estimate, state = scenario.run(scheme, problem)
    figures = Figures(
        scenario=scenario.name,
        scheme=name,
        image=problem.name,
        evaluations=watch.evaluations(len(estimate)),
        residual=problem.residual(state),
        psnr=problem.psnr(estimate),
    )
    if not isinstance(truth, Tensor):
        return replace(figures, psnr_delta=figures.psnr - truth)
    error = (problem.gradient() - truth).norm() / truth.norm()
    return replace(figures, products=watch.products(len(estimate)), gradient_error=error.item())


def peaks(
    extent: Extent, data: Path | None, device: str, measured: set[tuple[str, str, str]]
) -> dict[tuple[str, str, str], float]:
    """Peak memory by scenario, scheme and image, on the first image of each scenario. For a fresh process."""
    measuring.return_memory_at_once()
    measuring.prepare(device)
    schemes, _ = load_schemes()
    return {
        (scenario.name, name, problem.name): measuring.added_memory(partial(scenario.run, scheme, problem))
        for scenario in scenarios(extent, data, device)
        for problem in scenario.problems[:1]
        for name, scheme in schemes.items()
        if (scenario.name, name, problem.name) in measured
    }


def main() -> None:
    parser = measuring.arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="bundled files only, crops of 144 pixels")
    parser.add_argument("--scenarios", help="some of them, by name, with commas")
    parser.add_argument("--schemes", help="some of them, beside ours, by name, with commas")
    parser.add_argument("--data", type=Path, help="folder with test/Set5; without it the embedded photographs")
    options = parser.parse_args()
    if options.quick and options.data:
        parser.error("--quick takes bundled files only; leave out --data")
    extent = EXTENTS["smoke" if options.smoke else "quick" if options.quick else "full"]
    measuring.prepare(options.device)
    machine = measuring.machine(options.device)
    schemes, missing = load_schemes()
    where_accurate = True
    if options.schemes:
        named = {OURS, *options.schemes.split(",")}
        schemes = {name: scheme for name, scheme in schemes.items() if name in named}
        where_accurate = PUBLISHED_ACCURATE in named
    chosen = [
        each
        for each in scenarios(extent, options.data, options.device)
        if not options.scenarios or each.name in options.scenarios.split(",")
    ]
    failures: dict[str, str] = {}
    figures = [row for each in chosen for row in measure(each, schemes, where_accurate, failures)]
    print("now memory", flush=True)
    measured = {(row.scenario, row.scheme, row.image) for row in figures}
    memory = measuring.in_fresh_process(peaks, extent, options.data, options.device, measured)
    figures = [replace(row, peak_mb=memory.get((row.scenario, row.scheme, row.image))) for row in figures]
    write_comparison(options.output, figures, extent.words, machine, missing, failures)
    print(f"wrote {options.output / 'compare.md'}")


if __name__ == "__main__":
    main()
