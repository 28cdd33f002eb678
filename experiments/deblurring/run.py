"""Runs the experiment of README.md, in the folder that it names: python experiments/deblurring/run.py data.root=DIR"""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

MADE = HERE / "runs" / "made"
IMAGES = {0: ("02", "07"), 3: ("01", "05")}  # of Set12, for some of Levin et al.'s kernels, counted from 0
FFDNET = "weights/ffdnet/ffdnet_gray.pth"
COMMON = [
    *("problem=deblurring", "problem.kernel=data/kernels/Levin09.mat", "data=pairs"),
    *(f"layer.weights={FFDNET}", "layer.noise_level=0.05", "beta=0.02"),
    *(f"pnp.weights={FFDNET}", "pnp.noise_level=0.05", "pnp.tolerance=5e-5", "pnp.max_iterations=200"),
    "method=[start,tv,backbone,backbone+projection,pnp,mcnet]",
]
CELLS = {f"kernel{index}": [*COMMON, f"problem.index={index}", f"data.hr={MADE / str(index)}"] for index in IMAGES}

if __name__ == "__main__":
    for index, names in IMAGES.items():
        (MADE / str(index)).mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copy(f"data/natural/Set12/{name}.png", MADE / str(index))
    experiment(HERE, CELLS)
