"""Runs the experiment of README.md, in the folder that it names: python run.py data.root=DIR"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

PAIRS = ["data=pairs", "data.hr=sr_results/HR/Set5/x3", "data.lr=sr_results/LRBD/Set5/x3"]
NETWORK = ["backbone=spandrel", "backbone.weights=weights/dctlsa/dctlsa_x3.pth"]
COMMON = ["scale=3", "protocol=standard", "operator=bd", *PAIRS, *NETWORK]
ROWS = "method=[bicubic,backbone,backbone+projection,mcnet]"
CELLS = {
    "bd_dctlsa": [*COMMON, "layer.weights=bundled:paper", "beta=0.05", ROWS],
    "bd_dctlsa_trained": [*COMMON, "layer.weights=bundled:dctlsa_bd", ROWS],
}

if __name__ == "__main__":
    experiment(HERE, CELLS)
