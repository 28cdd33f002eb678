"""Peak memory of one training step against the iteration cap: flat for the implicit gradient, linear for unrolling.

    python benchmarks/memory.py        # a minute; prints a Markdown table

Each figure is the peak resident memory of a fresh process, less that of the same process before the step.
"""

import resource
import subprocess
import sys

CAPS = (10, 50, 200)
BATCH, SIDE = 8, 48


def step(method: str, cap: int) -> float:
    """MiB that one forward and backward pass adds; the tolerance is out of reach, so every cap is used up."""
    import torch

    from mcnet_lightning import AndersonSolver, BicubicDownsample, DnCNN, EquilibriumLayer
    from mcnet_lightning.equilibrium import GMRES, Unrolled

    torch.manual_seed(0)
    torch.set_num_threads(1)
    backward = Unrolled(cap) if method == "unrolled" else GMRES(tolerance=1e-2, max_products=10)
    solver = AndersonSolver(tolerance=1e-30, max_evaluations=cap)
    layer = EquilibriumLayer(DnCNN(), solver=solver, backward_solver=backward)
    operator = BicubicDownsample(2)
    truth = torch.rand(BATCH, 1, SIDE, SIDE)
    with torch.no_grad():  # first use: caches and thread pools
        layer.solver.max_evaluations = 2
        layer(truth, operator(truth), operator)
        layer.solver.max_evaluations = cap
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    layer(truth, operator(truth), operator).estimate.square().sum().backward()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    print("| method | " + " | ".join(f"cap {cap}, MiB" for cap in CAPS) + " |")
    print("|---|" + "---|" * len(CAPS))
    for method in ("implicit", "unrolled"):
        peaks = []
        for cap in CAPS:
            words = [sys.executable, __file__, method, str(cap)]
            peaks.append(float(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
        print(f"| {method} | " + " | ".join(f"{peak:.0f}" for peak in peaks) + " |")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(step(sys.argv[1], int(sys.argv[2])))
    else:
        main()
