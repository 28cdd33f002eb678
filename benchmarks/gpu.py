"""Whether a GPU gives the CPU's answers, and what it gains: one command, one table to paste, under eight minutes.

    make gpu                                       # python benchmarks/gpu.py --device cuda
    python benchmarks/gpu.py --device cpu --smoke  # the same code on this machine, in a minute

Solves and gradients are held against the CPU's in float64; TF32 is allowed outside, as training scripts do, and must
not reach a solve; T is timed as it is, compiled and as a CUDA graph; then come the comparison with other solvers on two
scenarios and a training at full batch. Each part reports for itself: one that fails does not cost the others.
"""

import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import measuring
import torch
from problems import Problem, images, mosaic, patches
from torch import Tensor

from mcnet_lightning import GMRES, AndersonSolver
from mcnet_lightning.equilibrium.precision import FLOAT32_PRODUCTS, full_precision
from mcnet_lightning.evaluation.metrics import consistency

HERE = Path(__file__).parent
BUDGET = 470  # seconds; a part that would begin later is left out, and said to be
TIGHT, USUAL = 1e-9, 1e-5
COLUMNS = ("check", "figure", "bar", "holds", "seconds")


class Row(NamedTuple):
    check: str
    figure: float
    bar: str
    holds: bool | None  # None: a figure without a bar

    @property
    def verdict(self) -> str:
        return "" if self.holds is None else "yes" if self.holds else "NO"


def answers(device: str, smoke: bool) -> Iterator[Row]:
    """The estimate and dL/dtheta of a training step, against the CPU's in float64."""
    problem = patches(2 if smoke else 16, 24 if smoke else 48, 0.1)
    truth, gradient = _solved(problem.double(), TIGHT)
    for dtype, tolerance, bars in ((torch.float64, TIGHT, (1e-7, 1e-5)), (torch.float32, USUAL, (3e-4, 0.03))):
        moved = (problem.double() if dtype == torch.float64 else problem).to(device)
        estimate, found = _solved(moved, tolerance)
        for name, value, wanted, bar in (
            ("estimate", estimate, truth, bars[0]),
            ("gradient", found, gradient, bars[1]),
        ):
            error = ((value.double().cpu() - wanted.cpu()).norm() / wanted.norm()).item()
            yield Row(
                f"{name} in {str(dtype)[6:]}, relative to the CPU's in float64", error, f"<= {bar:g}", error <= bar
            )
    for each in images(2, 0.0, None, 96 if smoke else 256, 1):
        on_cpu, on_device = each.psnr(_inferred(each)), each.to(device).psnr(_inferred(each.to(device)))
        difference = abs(on_cpu - on_device)
        yield Row(f"PSNR of {each.name} x2, difference to the CPU's in dB", difference, "<= 0.005", difference <= 0.005)


def full_float32(device: str, smoke: bool) -> Iterator[Row]:
    """TF32 is allowed by the process, and stays out of the solve."""
    before = [products.fp32_precision for products in FLOAT32_PRODUCTS]
    try:
        for products in FLOAT32_PRODUCTS:
            products.fp32_precision = "tf32"
        problem = mosaic(64 if smoke else 512).to(device)
        estimate = _inferred(problem)
        distance = consistency(estimate, problem.measurement, problem.operator).item()
        yield Row("||A x - b|| with TF32 allowed outside", distance, "<= 5e-5", distance <= 5e-5)
        residual = problem.layer(problem.prior_image, problem.measurement, problem.operator).stats.residual.max().item()
        yield Row("residual with TF32 allowed outside", residual, f"<= {USUAL:g}", residual <= USUAL)
        given_back = all(products.fp32_precision == "tf32" for products in FLOAT32_PRODUCTS)
        yield Row("the process has its setting back", float(given_back), "1", given_back)
    finally:
        for products, precision in zip(FLOAT32_PRODUCTS, before, strict=True):
            products.fp32_precision = precision


def forms_of_the_map(device: str, smoke: bool) -> Iterator[Row]:
    """Milliseconds of one evaluation of T: as it is, compiled, and replayed as a CUDA graph."""
    for words, problem in (
        ("16 x 48 x 48", patches(2 if smoke else 16, 24 if smoke else 48, 0.0)),
        ("256 x 256", mosaic(64 if smoke else 256)),
    ):
        moved = problem.to(device)
        with torch.no_grad(), full_precision(moved.truth.device):
            evaluate = moved.map()
            state = moved.prior_image.clone()
            plain = _milliseconds(partial(evaluate, state))
            yield Row(f"T on {words}, ms", plain, "", None)
            for name, form in (("as a CUDA graph", _graphed), ("compiled", _compiled)):
                if name == "as a CUDA graph" and device != "cuda":
                    continue
                try:
                    found = _milliseconds(form(evaluate, state))
                except Exception as error:  # of a form that is only tried: the other one is still to be timed
                    print(f"T on {words} {name}: {_said(error)}", flush=True)
                    continue
                yield Row(f"T on {words} {name}, ms ({plain / found:.2f} times as fast)", found, "", None)


def other_solvers(device: str, smoke: bool) -> Iterator[Row]:
    """compare.py on two scenarios: how many times longer the published settings take than ours."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--smoke"] if smoke else ["--quick", "--scenarios", "train_step,infer_x2"]
        command = [sys.executable, str(HERE / "compare.py"), *words, "--device", device, "--output", folder]
        _run([*command, "--schemes", "published_settings"])
        with (Path(folder) / "compare.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["seconds_wall"]]  # others were not to be had here
    seconds = {(row["scenario"], row["scheme"]): float(row["seconds_wall"]) for row in rows}
    for scenario in dict.fromkeys(name for name, _ in seconds):
        ours = seconds[scenario, "ours"]
        yield Row(f"{scenario}: ours, s", ours, "", None)
        yield Row(f"{scenario}: published settings over ours", seconds[scenario, "published_settings"] / ours, "", None)


def training(device: str, smoke: bool) -> Iterator[Row]:
    """`train` as people run it, on the embedded photographs, at a full batch."""
    steps, batch = (2, 2) if smoke else (200, 64)
    with tempfile.TemporaryDirectory() as folder:
        words = [f"trainer.max_steps={steps}", f"data.batch_size={batch}", "trainer.max_epochs=100", "logger=csv"]
        words += [f"trainer.accelerator={'gpu' if device == 'cuda' else 'cpu'}", f"hydra.run.dir={folder}/run"]
        words += ["data.max_patches=16"] if smoke else []
        began = time.perf_counter()
        _run([sys.executable, "-m", "mcnet_lightning.train", *words])
        yield Row(f"training, {steps} steps of {batch} patches, s", time.perf_counter() - began, "", None)
        with (Path(folder) / "run" / "metrics.csv").open() as file:
            means = {row["method"]: row for row in csv.DictReader(file) if row["image"] == "mean"}
    gain = float(means["mcnet"]["psnr_y"]) - float(means["backbone+projection"]["psnr_y"])
    yield Row("the layer over the projected backbone, dB", gain, "> 0", None if smoke else gain > 0)


PARTS: tuple[Callable[[str, bool], Iterator[Row]], ...] = (
    answers,
    full_float32,
    forms_of_the_map,
    training,
    other_solvers,
)


def _solved(problem: Problem, tolerance: float) -> tuple[Tensor, Tensor]:
    problem.layer.zero_grad()
    problem.layer.solver = AndersonSolver(tolerance, 300)
    problem.layer.backward_solver = GMRES(min(1e-2, 1e3 * tolerance), 300)
    result = problem.layer(problem.prior_image, problem.measurement, problem.operator, problem.epsilon)
    problem.loss(result.estimate).backward()
    return result.estimate.detach(), problem.gradient()


@torch.no_grad()
def _inferred(problem: Problem) -> Tensor:
    problem.layer.solver = AndersonSolver(USUAL, 200)
    return problem.layer(problem.prior_image, problem.measurement, problem.operator, problem.epsilon).estimate


def _milliseconds(work: Callable[[], object], repetitions: int = 20) -> float:
    work()
    return 1e3 * min(measuring.timed(work).wall for _ in range(repetitions))


def _compiled(evaluate: Callable[[Tensor], Tensor], state: Tensor) -> Callable[[], object]:
    compiled = torch.compile(evaluate)
    compiled(state)
    return lambda: compiled(state)


def _graphed(evaluate: Callable[[Tensor], Tensor], state: Tensor) -> Callable[[], object]:
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            evaluate(state)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        evaluate(state)
    return graph.replay


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:3])} ended with {done.returncode}: {done.stderr.strip()[-300:]}")


def main() -> None:
    options = measuring.arguments(__doc__).parse_args()
    measuring.prepare(options.device)
    began, rows, failed = time.perf_counter(), [], False
    for part in PARTS:
        if time.perf_counter() - began > BUDGET:
            print(f"left out for want of time: {part.__name__}", flush=True)
            continue
        since = time.perf_counter()
        try:
            for row in part(options.device, options.smoke):
                rows.append({**row._asdict(), "holds": row.verdict, "seconds": time.perf_counter() - since})
                failed |= row.holds is False
                print(f"{row.check}: {row.figure:.4g} {row.bar and f'({row.bar})'} {row.verdict}", flush=True)
                since = time.perf_counter()
        except Exception as error:  # what a GPU, a compiler or a driver refuses must not cost the rest
            failed = True
            print(f"{part.__name__} failed: {_said(error)}", flush=True)
    print(f"\n{measuring.markdown(('machine', ''), list(measuring.machine(options.device).items()))}\n")
    measuring.report("gpu", options.output, COLUMNS, rows)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
