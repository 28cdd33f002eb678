"""Our solver against the published settings, torchdeq and deepinv: same map, weights and tolerance, in one run.

    python benchmarks/compare.py --quick         # bundled files only, crops of 144 pixels: about 20 minutes
    python benchmarks/compare.py                 # the embedded photographs as they are: an hour
    python benchmarks/compare.py --data DIR      # DIR/test/Set5 instead

Writes compare.csv (means over images), compare_images.csv (every image) and compare.md (tables, machine, ratios).
Times are medians of rounds in which each scheme runs once; then one more visit of each measures memory, counts and
accuracy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import measuring
import torch
from comparison import Figures, write_comparison
from instruments import watched
from measuring import Seconds
from problems import Problem, converged_estimate, converged_gradient, images, patches
from schemes import OURS, TRAINING_ONLY, Scheme, load_schemes
from torch import Tensor

TRAIN_TOLERANCE = 1e-5
INFER_TOLERANCES = {2: 5e-6, 3: 5e-6, 4: 3e-6}  # by scale: PSNR within 0.005 dB of the fixed point
EPSILON = 0.1  # l2, per patch and per image; without it the fixed points are at 0.15 to 2: it is active everywhere


Key = tuple[str, str]  # image and scheme


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
    infer_repetitions: int = 3


EXTENTS = {
    "full": Extent("whole images"),
    "quick": Extent("quick: central crops of 144 x 144", crop=144, train_repetitions=3, infer_repetitions=1),
    "smoke": Extent("SMOKE TEST: these figures mean nothing", 2, 24, 64, 1, 1, 1),
}


def scenarios(extent: Extent, data: Path | None) -> Iterator[Scenario]:
    for suffix, epsilon in (("", 0.0), ("_epsilon", EPSILON)):
        problem = patches(extent.batch, extent.side, epsilon)
        yield Scenario(f"train_step{suffix}", True, TRAIN_TOLERANCE, extent.train_repetitions, [problem])
    for suffix, scale, epsilon in (("", 2, 0.0), ("", 3, 0.0), ("", 4, 0.0), ("_epsilon", 2, EPSILON)):
        problems = images(scale, epsilon, data, extent.crop, extent.limit)
        yield Scenario(f"infer_x{scale}{suffix}", False, INFER_TOLERANCES[scale], extent.infer_repetitions, problems)


def clocked(scenario: Scenario, schemes: dict[str, Scheme], failures: dict[str, str]) -> dict[Key, Seconds]:
    """Median times by image and scheme. A scheme that raises drops out, with its reason; ours must not."""
    times: dict[Key, Seconds] = {}
    for problem in scenario.problems:

        def work(name: str, problem: Problem = problem) -> None:
            label = f"{scenario.name}, {problem.name}, {name}"
            if label in failures:
                return
            try:
                scenario.run(schemes[name], problem)
            except RuntimeError as error:
                if name == OURS:
                    raise
                failures[label] = str(error).splitlines()[0]

        work(OURS)  # warms up for all: the shapes are the same
        works = {name: partial(work, name) for name in schemes if scenario.training or name not in TRAINING_ONLY}
        found = measuring.interleaved(works, scenario.repetitions)
        sound = {
            name: each for name, each in found.items() if f"{scenario.name}, {problem.name}, {name}" not in failures
        }
        times |= {(problem.name, name): each for name, each in sound.items()}
        words = ", ".join(f"{name} {each.wall:.2f} s" for name, each in sound.items())
        print(f"{scenario.name} {problem.name}: {words}", flush=True)
    return times


def examination(extent: Extent, data: Path | None, times: dict[str, dict[Key, Seconds]]) -> list[Figures]:
    """One more, untimed visit of every scheme that was clocked: memory, counts and accuracy. For a fresh process."""
    measuring.return_memory_at_once()
    schemes, _ = load_schemes()
    return [
        examine(scenario, problem, name, schemes[name], truth, seconds)
        for scenario in scenarios(extent, data)
        for problem in scenario.problems
        for truth in [converged(scenario, problem)]
        for (image, name), seconds in times[scenario.name].items()
        if image == problem.name
    ]


def converged(scenario: Scenario, problem: Problem) -> Tensor | float:
    """The float64 gradient, or the PSNR of the float64 estimate."""
    return converged_gradient(problem) if scenario.training else problem.psnr(converged_estimate(problem))


def examine(
    scenario: Scenario, problem: Problem, name: str, scheme: Scheme, truth: Tensor | float, seconds: Seconds
) -> Figures:
    results: list[Tensor] = []
    with watched(problem.layer) as watch:
        peak = measuring.added_memory(lambda: results.extend(scenario.run(scheme, problem)))
    estimate, state = results
    figures = Figures(
        scenario=scenario.name,
        scheme=name,
        image=problem.name,
        evaluations=watch.evaluations(len(estimate)),
        seconds_cpu=seconds.cpu,
        seconds_wall=seconds.wall,
        residual=problem.residual(state),
        psnr=problem.psnr(estimate),
        peak_mb=peak,
    )
    if not isinstance(truth, Tensor):
        return replace(figures, psnr_delta=figures.psnr - truth)
    error = (problem.gradient() - truth).norm() / truth.norm()
    return replace(figures, products=watch.products(len(estimate)), gradient_error=error.item())


def main() -> None:
    parser = measuring.arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="crops of 144 pixels: about 20 minutes")
    parser.add_argument("--data", type=Path, help="folder with test/Set5; without it the embedded photographs")
    options = parser.parse_args()
    if options.quick and options.data:
        parser.error("--quick takes bundled files only; leave out --data")
    extent = EXTENTS["smoke" if options.smoke else "quick" if options.quick else "full"]
    machine = measuring.machine()
    schemes, missing = load_schemes()
    failures: dict[str, str] = {}
    times = {each.name: clocked(each, schemes, failures) for each in scenarios(extent, options.data)}
    print("times are measured; now memory and accuracy", flush=True)
    figures = measuring.in_fresh_process(examination, extent, options.data, times)
    write_comparison(options.output, figures, extent.words, machine, missing, failures)
    print(f"wrote {options.output / 'compare.md'}")


if __name__ == "__main__":
    main()
