"""Runs the experiment of README.md: python experiments/epsilon_tradeoff/run.py data.root=DIR"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

COMMON = ["data.test=[Set5]", "method=[backbone,backbone+projection,mcnet]", "scale=2"]
CELLS = {f"epsilon_{epsilon}": [*COMMON, f"epsilon={epsilon}"] for epsilon in ("0", "0.05", "0.1", "0.2", "0.4", "0.8")}

if __name__ == "__main__":
    experiment(HERE, CELLS)
