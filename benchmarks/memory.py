"""Peak memory of one training step against the iteration cap: flat for the implicit gradient, linear for unrolling.

    python benchmarks/memory.py        # a minute

Each figure is the peak resident memory of a fresh process during the step, less that before it.
"""

import measuring

CAPS = (10, 50, 200)
BATCH, SIDE = 8, 48


def step(method: str, cap: int, device: str) -> float:
    """MiB that one forward and backward pass adds; the tolerance is out of reach, so every cap is used up."""
    import torch

    from mcnet_lightning import AndersonSolver, BicubicDownsample, DnCNN, EquilibriumLayer
    from mcnet_lightning.equilibrium import GMRES, Unrolled

    measuring.return_memory_at_once()
    measuring.prepare(device)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    backward = Unrolled(cap) if method == "unrolled" else GMRES(tolerance=1e-2, max_products=10)
    solver = AndersonSolver(tolerance=1e-30, max_evaluations=cap)
    layer = EquilibriumLayer(DnCNN(), solver=solver, backward_solver=backward).to(device)
    operator = BicubicDownsample(2)
    truth = torch.rand(BATCH, 1, SIDE, SIDE).to(device)
    with torch.no_grad():  # first use: caches and thread pools
        layer.solver.max_evaluations = CAPS[0]
        layer(truth, operator(truth), operator)
        layer.solver.max_evaluations = cap
    return measuring.added_memory(lambda: layer(truth, operator(truth), operator).estimate.square().sum().backward())


def main() -> None:
    options = measuring.arguments(__doc__).parse_args()
    caps = CAPS[:1] if options.smoke else CAPS
    rows = [
        {"method": method}
        | {f"cap {cap}, MiB": measuring.in_fresh_process(step, method, cap, options.device) for cap in caps}
        for method in ("implicit", "unrolled")
    ]
    measuring.report("memory", options.output, list(rows[0]), rows)


if __name__ == "__main__":
    main()
