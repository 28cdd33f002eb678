"""Runs the experiment of README.md, in the folder that it names: python experiments/ryu_mri/run.py data.root=DIR"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

FILES = "data/mri/ryu_csmri"
COMMON = [
    *("problem=mri", "problem.real=true", "data=pairs", f"data.hr={FILES}/Brain.jpg"),
    *(f"problem.noise_file={FILES}/noises.mat:noises", "problem.noise_factor=0.01171875"),  # 3 / 256
    *("backbone=start", "layer.weights=none", "method=[start,tv,pnp]"),
    *("pnp.weights=weights/pnp_dncnn/dncnn_gray_sigma15.pth", "pnp.tolerance=1e-4"),
]
RADII = {"noise": "epsilon=noise", "rms": "epsilon_rms=0.055"}
CELLS = {
    f"{mask.lower()}_{radius}": [*COMMON, f"problem.mask={FILES}/Q_{mask}30.mat:Q1", words]
    for mask in ("Random", "Radial", "Cartesian")
    for radius, words in RADII.items()
}

if __name__ == "__main__":
    experiment(HERE, CELLS)
