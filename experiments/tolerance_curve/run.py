"""Runs the experiment of README.md: python experiments/tolerance_curve/run.py data.root=DIR"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

COMMON = ["data.test=[Set5]", "method=[backbone,backbone+projection,mcnet]"]
CELLS = {
    f"x{scale}_{tolerance}": [*COMMON, f"scale={scale}", f"solver.tolerance={tolerance}"]
    for scale in (2, 3, 4)
    for tolerance in ("1e-3", "1e-4", "1e-5", "1e-6")
}
SOLVERS = {
    "ours": ["solver.half_evaluations=false"],
    "ours_half": ["solver.half_evaluations=true"],
    "published": ["solver=published"],
}
CELLS |= {
    f"x2_solver_{name}": [*COMMON, "scale=2", "traces=true", "solver.tolerance=1e-5", *words]
    for name, words in SOLVERS.items()
}

if __name__ == "__main__":
    experiment(HERE, CELLS)
