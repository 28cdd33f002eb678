"""Makes both tables of the paper, under both protocols: make paper ARGS="data.root=DIR"."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import measure, report

PROTOCOLS = ("paper", "standard")
DATASETS = ("Set5", "Set14")
SCALES = (2, 3, 4)
BASELINES = "method=[bicubic,bicubic+projection,backbone,backbone+projection,tvtv]"
OURS = "method=[backbone,backbone+projection,mcnet]"
# name -> its backbone, and its layer with the paper's epsilon
NETWORKS = {
    "srcnn_published": (["backbone=srcnn", "backbone.weights=official"], ["layer.weights=bundled:paper", "epsilon=0"]),
    "srcnn": (["backbone=srcnn"], ["layer.weights=bundled", "epsilon=0"]),
    "rdn": (["backbone=rdn"], ["layer.weights=bundled", "epsilon=0.1"]),
    "rcan": (["backbone=rcan"], ["layer.weights=bundled", "epsilon=0.1"]),
}


def cells() -> dict[str, list[str]]:
    """PROTOCOL/NETWORK_xSCALE_DATASET_PART -> the words of its `evaluate`; what is quick and central comes first."""
    found: dict[str, list[str]] = {}
    for protocol in PROTOCOLS:
        for dataset in DATASETS:
            for part in ("mcnet", "pnp", "baselines"):
                for scale in SCALES:
                    problem = [f"protocol={protocol}", f"data.test=[{dataset}]", f"scale={scale}"]
                    found |= {
                        f"{protocol}/{name}_x{scale}_{dataset}_{part}": [*problem, *words]
                        for name, words in _part(part)
                    }
    return found


def _part(part: str) -> list[tuple[str, list[str]]]:
    if part == "pnp":
        words = ["backbone=bicubic", "layer.weights=none", "method=[pnp]"]
        return [("bicubic", words), ("denoiser_published", [*words, "pnp.weights=official"])]
    if part == "mcnet":
        return [(name, [*backbone, *layer, OURS]) for name, (backbone, layer) in NETWORKS.items()]
    return [(name, [*backbone, "layer.weights=none", BASELINES]) for name, (backbone, _) in NETWORKS.items()]


if __name__ == "__main__":
    failed = measure(HERE, cells())
    for protocol in PROTOCOLS:
        report([HERE / "runs" / protocol], HERE / protocol)
    raise SystemExit(1 if failed else 0)
