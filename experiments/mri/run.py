"""Runs the experiment of README.md, in the folder that it names: python experiments/mri/run.py data.root=DIR"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

COMMON = ["problem=mri", "problem.real=true", "data=brain50", "backbone=istanet"]
FILES = {
    percent: [
        f"problem.mask=data/mri/ista_brain50/masks/mask_{percent}.mat",
        f"backbone.weights=weights/ista_net_plus/ratio_{percent}.pkl",
    ]
    for percent in (10, 20, 30, 40)
}
ALONE = ["layer.weights=none", "method=[start,start+projection,backbone,backbone+projection]"]
CELLS = {f"istanet_{percent}": [*COMMON, *files, *ALONE] for percent, files in FILES.items()}
LAYER = ["layer.weights=bundled:paper_x2", "beta=0.2", "method=[backbone,backbone+projection,mcnet]"]
FFDNET = ["layer.weights=weights/ffdnet/ffdnet_gray.pth", "layer.noise_level=0.03", "beta=0.5"]
FFDNET += ["solver.max_evaluations=200"]
CELLS |= {
    "istanet_10_layer": [*COMMON, *FILES[10], *LAYER],
    "istanet_10_ffdnet": [*COMMON, *FILES[10], *FFDNET, *LAYER[2:]],
}

if __name__ == "__main__":
    experiment(HERE, CELLS)
