"""Runs the experiment of README.md: python experiments/robustness/run.py data.root=DIR"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

COMMON = ["data.test=[Set5]", "method=[backbone,backbone+projection,mcnet]", "scale=2"]
CELLS = {f"noise_{noise}": [*COMMON, f"perturbation.noise={noise}"] for noise in range(6)}
CELLS |= {f"jpeg_{quality}": [*COMMON, f"perturbation.jpeg={quality}"] for quality in (95, 90, 75)}
CELLS |= {
    f"operator_{name}": [*COMMON, f"perturbation.operator={name}"]
    for name in ("symmetric", "replicate", "pillow", "blurred")
}
# a radius that allows for the noise: sigma sqrt(pixels of LR) is 0.5 to 1 for sigma = 1/255 on these images
CELLS |= {
    f"noise_{noise}_epsilon": [*COMMON, f"perturbation.noise={noise}", f"epsilon={radius}"]
    for noise, radius in ((1, 0.5), (2, 1.0), (5, 2.5))
}

if __name__ == "__main__":
    experiment(HERE, CELLS)
