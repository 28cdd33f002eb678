"""Runs the experiment of README.md, in the folder that it names: python experiments/deblurring/run.py data.root=DIR"""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

MADE = HERE / "runs" / "made" / "set12"
IMAGES = [f"{number:02d}" for number in range(1, 8)]  # of Set12, those of 256 x 256
KERNELS = range(8)  # of Levin et al., counted from 0
FFDNET = "weights/ffdnet/ffdnet_gray.pth"
COMMON = [
    *("problem=deblurring", "problem.kernel=data/kernels/Levin09.mat", "data=pairs", f"data.hr={MADE}"),
    *(f"layer.weights={FFDNET}", "layer.noise_level=0.06", "beta=0.005"),
    *(f"pnp.weights={FFDNET}", "pnp.noise_level=0.06", "pnp.tolerance=5e-5", "pnp.max_iterations=200"),
    "method=[start,tv,backbone,backbone+projection,pnp,mcnet]",
]
CELLS = {f"kernel{index}": [*COMMON, f"problem.index={index}"] for index in KERNELS}

if __name__ == "__main__":
    MADE.mkdir(parents=True, exist_ok=True)
    for name in IMAGES:
        shutil.copy(f"data/natural/Set12/{name}.png", MADE)
    experiment(HERE, CELLS)
