"""Runs the experiment of README.md, in the folder that it names: python experiments/ct/run.py data.root=DIR"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

COMMON = ["problem=ct", "problem.views=50", "data=ct100", "backbone=unet", "beta=auto"]
ROWS = "method=[start,start+projection,wavelet,tv,backbone,backbone+projection,mcnet]"
FFDNET = ["layer.weights=weights/ffdnet/ffdnet_gray.pth", "layer.noise_level=0.05"]
CELLS = {
    "views50": [*COMMON, "layer.weights=bundled:paper_x2", ROWS],
    "views50_ffdnet": [*COMMON, *FFDNET, "method=[backbone,backbone+projection,mcnet]"],
}

if __name__ == "__main__":
    experiment(HERE, CELLS)
