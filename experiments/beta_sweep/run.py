"""Runs the experiment of README.md: python experiments/beta_sweep/run.py data.root=DIR"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

COMMON = ["data.test=[Set5]", "method=[backbone,backbone+projection,mcnet]", "scale=2"]
CELLS = {f"beta_{beta}": [*COMMON, f"beta={beta}"] for beta in ("0.01", "0.02", "0.05", "0.1", "0.2", "0.5")}

if __name__ == "__main__":
    experiment(HERE, CELLS)
