"""Runs the experiment of README.md: python experiments/kernels/run.py data.root=DIR"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

COMMON = ["data.test=[Set5]", "operator=bd", "scale=3", "method=[bicubic,backbone,backbone+projection,mcnet]"]
CELLS = {
    f"bd_{network}": [*COMMON, f"backbone={network}", "layer.weights=bundled:paper", "beta=0.05"]
    for network in ("srcnn", "rcan")
}

if __name__ == "__main__":
    experiment(HERE, CELLS)
