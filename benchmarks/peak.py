"""How near the layer comes to what the machine can do: the convolution's peak, and the time outside the network.

    python benchmarks/peak.py              # two minutes on 2 cores

The attainable peak is the fastest of many runs of the 64-to-64 3x3 convolution alone, channels-last. The network's
share of a solve is what passes inside the denoiser, forwards and backwards; its attainable fraction is the time that
its floating-point operations would take at the peak of their precision, over the time that they took. In half precision
the convolutions are so fast that the elementwise operations between them, bound by memory, take as long.
"""

from collections.abc import Callable
from functools import partial
from statistics import median

import measuring
import torch
import torch.nn.functional as F
from instruments import Call, watched
from problems import Problem, mosaic, patches
from schemes import ours

CHANNELS, KERNEL = 64, 3
BATCH, PATCH_SIDE, IMAGE_SIDE = 16, 48, 256
TOLERANCE = 1e-5
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
def convolution_peak(batch: int, side: int, half: bool, repetitions: int) -> float:
    """GFLOP/s of the fastest run."""
    features = torch.randn(batch, CHANNELS, side, side).to(PRECISIONS[half], memory_format=torch.channels_last)
    weight = torch.randn(CHANNELS, CHANNELS, KERNEL, KERNEL).to(PRECISIONS[half], memory_format=torch.channels_last)
    work = partial(F.conv2d, features, weight, padding=KERNEL // 2)
    work()
    fastest = min(measuring.timed(work).wall for _ in range(repetitions))
    return 2e-9 * weight.numel() * batch * side**2 / fastest


def layer_shares(
    name: str, problem: Problem, work: Callable[[], object], peaks: dict[bool, float], repetitions: int
) -> dict[str, object]:
    """One row, of medians."""
    work()
    rows = []
    for _ in range(repetitions):
        with watched(problem.layer) as watch:
            wall = measuring.timed(work).wall
        network = sum(call.seconds for call in watch.calls)
        operations = [(call.half, _operations(call, problem, last=call is watch.calls[-1])) for call in watch.calls]
        attainable = sum(count / peaks[half] for half, count in operations)
        total = sum(count for _, count in operations)
        rows.append((wall, network, 1 - network / wall, total / network, attainable / network))
    return dict(zip(LAYER_COLUMNS, (name, *map(median, zip(*rows, strict=True))), strict=True))


def _operations(call: Call, problem: Problem, last: bool) -> float:
    """GFLOP of one pass through the denoiser; the last one backwards goes to the weights as well as to the image."""
    weights = sum(weight.numel() for weight in problem.layer.denoiser.weights)
    passes = 2 if call.backward and last else 1
    return 2e-9 * passes * weights * call.samples * problem.truth[0].numel()


def train(problem: Problem, half: bool | None) -> None:
    problem.layer.zero_grad()
    problem.loss(ours(problem, TOLERANCE, half)[0]).backward()


def main() -> None:
    options = measuring.arguments(__doc__).parse_args()
    batch, patch, side = (2, 24, 64) if options.smoke else (BATCH, PATCH_SIDE, IMAGE_SIDE)
    fast, slow = (2, 1) if options.smoke else (50, 5)
    peaks = {
        shape: {half: convolution_peak(*shape, half, fast) for half in PRECISIONS}
        for shape in ((1, side), (batch, patch))
    }
    rows = [
        {"shape": f"{n} x {s} x {s}", "precision": str(PRECISIONS[half]), "gflops_per_second": peak}
        for (n, s), found in peaks.items()
        for half, peak in found.items()
    ]
    measuring.report("peak_convolution", options.output, CONVOLUTION_COLUMNS, rows)
    image, training = mosaic(side), patches(batch, patch, 0.0)
    rows = []
    for words, half in (("float32", False), ("as it is", None)):
        infer = torch.no_grad()(partial(ours, image, TOLERANCE, half))
        rows.append(layer_shares(f"infer {side} x {side}, {words}", image, infer, peaks[1, side], slow))
        name = f"train step {batch} x {patch} x {patch}, {words}"
        rows.append(layer_shares(name, training, partial(train, training, half), peaks[batch, patch], slow))
    measuring.report("peak_layer", options.output, LAYER_COLUMNS, rows)


if __name__ == "__main__":
    main()
