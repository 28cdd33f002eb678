"""Runs the experiment of README.md: python experiments/headroom/run.py data.root=DIR"""

import csv
import subprocess
import sys
from pathlib import Path

from mcnet_lightning.evaluation.records import MEAN, read_metrics

HERE = Path(__file__).resolve().parent
NETWORKS, SCALES = ("srcnn", "rdn", "rcan"), (2, 3, 4)
COMMON = ["data.test=[Set5]", "method=[backbone,backbone+projection]", "layer.weights=none"]
CELLS = {
    f"backbone={network},scale={scale}": [*COMMON, f"backbone={network}", f"scale={scale}"]
    for network in NETWORKS
    for scale in SCALES
}
GAINS = HERE.parent / "paper_tables" / "paper" / "gains.csv"  # of the layer, with epsilon as in the paper


def layer_gain(network: str, scale: int) -> str:
    with GAINS.open(newline="") as file:
        for row in csv.DictReader(file):
            ours = row["method"].startswith(f"MCNet+{network.upper()} (") and "ours" in row["method"]
            if ours and (row["dataset"], row["scale"]) == ("Set5", f"x{scale}"):
                return row["gain over backbone, dB"].split()[0]
    raise SystemExit(f"error: {GAINS} has no row of MCNet on {network} at x{scale}")


def table(folder: Path) -> list[list[str]]:
    """A row for each network and scale: its PSNR, its headroom, and what projection and layer gain over it."""
    rows = [["network", "scale", "psnr", "headroom", "projection", "gain"]]
    for name in CELLS:
        means = {each.method: each for each in read_metrics(folder / name / "metrics.csv") if each.image == MEAN}
        network, projected = means["backbone"], means["backbone+projection"]
        assert network.scale is not None
        assert network.headroom is not None
        figures = (network.headline, network.headroom, projected.headline - network.headline)
        gain = layer_gain(network.backbone, network.scale)
        rows.append([network.backbone, str(network.scale), *(f"{value:.3f}" for value in figures), gain])
    return rows


if __name__ == "__main__":
    sweep = ["-m", f"backbone={','.join(NETWORKS)}", f"scale={','.join(map(str, SCALES))}", *COMMON, *sys.argv[1:]]
    place = f"hydra.sweep.dir={HERE / 'runs'}"
    code = subprocess.run([sys.executable, "-m", "mcnet_lightning.evaluate", *sweep, place]).returncode
    if code:
        raise SystemExit(code)
    (HERE / "results").mkdir(exist_ok=True)
    with (HERE / "results" / "headroom.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(table(HERE / "runs"))
