"""How near the layer comes to what the machine can do: the convolution's peak, and the time outside the network.

    python benchmarks/peak.py              # two minutes on 2 cores

The attainable peak is the fastest of many runs of the 64-to-64 3x3 convolution alone, channels-last, right before and
after the work that is held against it: the clock of a shared machine changes by a third within minutes. The network's
share of a solve is what passes inside the denoiser, forwards and backwards; its attainable fraction is the time that
its floating-point operations would take at the peak of their precision, over the time that they took.
"""

from collections.abc import Callable
from functools import partial
from statistics import median

import measuring
import torch
import torch.nn.functional as F
from instruments import Call, watched
from problems import Problem, mosaic, patches
from schemes import ALL_OURS, TRAINING_ONLY, Scheme, load_schemes

CHANNELS, KERNEL = 64, 3
BATCH, PATCH_SIDE, IMAGE_SIDE = 16, 48, 256
TOLERANCE = 1e-5
Peaks = dict[bool, float]  # GFLOP/s in half precision or not
PRECISIONS = {False: torch.float32, True: torch.bfloat16}
CONVOLUTION_COLUMNS = ("shape", "precision", "gflops_per_second")
LAYER_COLUMNS = (
    "scenario",
    "seconds_wall",
    "seconds_network",
    "outside_network",
    "gflops_per_second",
    "fraction_of_peak",
)


@torch.no_grad()
def convolution_peak(batch: int, side: int, device: str, half: bool, repetitions: int) -> float:
    """GFLOP/s of the fastest run."""
    convert = partial(torch.Tensor.to, device=device, dtype=PRECISIONS[half], memory_format=torch.channels_last)
    features = convert(torch.randn(batch, CHANNELS, side, side))
    weight = convert(torch.randn(CHANNELS, CHANNELS, KERNEL, KERNEL))
    work = partial(F.conv2d, features, weight, padding=KERNEL // 2)
    work()
    fastest = min(measuring.timed(work).wall for _ in range(repetitions))
    return 2e-9 * weight.numel() * batch * side**2 / fastest


def peaks(shape: tuple[int, int], device: str, runs: int) -> Peaks:
    return {half: convolution_peak(*shape, device, half, runs) for half in PRECISIONS}


def layer_shares(
    name: str, problem: Problem, work: Callable[[], object], measure: Callable[[], Peaks], repetitions: int
) -> tuple[dict[str, object], list[Peaks]]:
    """One row, of medians, and the peaks that it was held against."""
    work()
    rows, found = [], []
    for _ in range(repetitions):
        before = measure()
        with watched(problem.layer) as watch:
            wall = measuring.timed(work).wall
        after = measure()
        found.append({half: max(before[half], after[half]) for half in PRECISIONS})
        network = sum(call.seconds for call in watch.calls)
        operations = [(call.half, _operations(call, problem, last=call is watch.calls[-1])) for call in watch.calls]
        attainable = sum(count / found[-1][half] for half, count in operations)
        total = sum(count for _, count in operations)
        rows.append((wall, network, 1 - network / wall, total / network, attainable / network))
    return dict(zip(LAYER_COLUMNS, (name, *map(median, zip(*rows, strict=True))), strict=True)), found


def _operations(call: Call, problem: Problem, last: bool) -> float:
    """GFLOP of one pass through the denoiser; the last one backwards goes to the weights as well as to the image."""
    weights = sum(weight.numel() for weight in problem.layer.denoiser.parameters() if weight.ndim == 4)
    passes = 2 if call.backward and last else 1
    return 2e-9 * passes * weights * call.samples * problem.truth[0].numel()


def train(problem: Problem, scheme: Scheme) -> None:
    problem.layer.zero_grad()
    problem.loss(scheme(problem, TOLERANCE)[0]).backward()


def infer(problem: Problem, scheme: Scheme) -> None:
    with torch.no_grad():
        scheme(problem, TOLERANCE)


def main() -> None:
    options = measuring.arguments(__doc__).parse_args()
    batch, patch, side = (2, 24, 64) if options.smoke else (BATCH, PATCH_SIDE, IMAGE_SIDE)
    runs, repetitions = (2, 1) if options.smoke else (20, 7)
    measuring.prepare(options.device)
    image, training = (each.to(options.device) for each in (mosaic(side), patches(batch, patch, 0.0)))
    rows: list[dict[str, object]] = []
    found: dict[tuple[int, int], list[Peaks]] = {}
    schemes, _ = load_schemes()
    for name in ALL_OURS:
        works = [(f"train step {batch} x {patch} x {patch}", training, (batch, patch), train)]
        if name not in TRAINING_ONLY:
            works.insert(0, (f"infer {side} x {side}", image, (1, side), infer))
        for words, problem, shape, work in works:
            step, measure = partial(work, problem, schemes[name]), partial(peaks, shape, options.device, runs)
            row, held_against = layer_shares(f"{words}, {name}", problem, step, measure, repetitions)
            rows.append(row)
            found.setdefault(shape, []).extend(held_against)
    convolutions = [
        {
            "shape": f"{n} x {s} x {s}",
            "precision": str(dtype),
            "gflops_per_second": median(each[half] for each in several),
        }
        for (n, s), several in found.items()
        for half, dtype in PRECISIONS.items()
    ]
    measuring.report("peak_convolution", options.output, CONVOLUTION_COLUMNS, convolutions)
    measuring.report("peak_layer", options.output, LAYER_COLUMNS, rows)


if __name__ == "__main__":
    main()
