"""Runs the experiment of README.md: python experiments/headroom/run.py data.root=DIR"""

import csv
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import measure, report  # noqa: E402

from mcnet_lightning.evaluation.records import MEAN, read_metrics  # noqa: E402

COMMON = ["data.test=[Set5]", "method=[backbone,backbone+projection,mcnet]", "protocol.dequantise=midpoint"]
CELLS = {
    f"{network}_x{scale}": [*COMMON, f"backbone={network}", f"scale={scale}"]
    for network in ("srcnn", "rdn", "rcan")
    for scale in (2, 3, 4)
}


def table(folder: Path) -> list[list[str]]:
    """A row for each network and scale: its PSNR, its headroom, and what projection and layer gain over it."""
    rows = [["network", "scale", "psnr", "headroom", "projection", "gain"]]
    for name in CELLS:
        metrics = folder / name / "metrics.csv"
        if metrics.exists():
            means = {record.method: record for record in read_metrics(metrics) if record.image == MEAN}
            network = means["backbone"]
            gains = [means[row].headline - network.headline for row in ("backbone+projection", "mcnet")]
            figures = (network.headline, network.headroom, *gains)
            rows.append([network.backbone, str(network.scale), *(f"{value:.3f}" for value in figures)])
    return rows


if __name__ == "__main__":
    failed = measure(HERE, CELLS)
    report([HERE / "runs"], HERE / "results")
    with (HERE / "results" / "headroom.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(table(HERE / "runs"))
    raise SystemExit(1 if failed else 0)
