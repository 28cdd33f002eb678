"""Runs the experiment of README.md, in the folder it names: python experiments/strong_networks/run.py data.root=DIR"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from running import experiment

COMMON = ["protocol.dequantise=midpoint", "method=[backbone,backbone+projection,mcnet]"]
# denoisers as they are; half the beta gains a little more with FFDNet on held-out images, in many more evaluations
FFDNET = ["layer.weights=weights/ffdnet/ffdnet_gray.pth", "layer.noise_level=0.04", "solver.tolerance=1e-4"]
DENOISERS = {"ffdnet": FFDNET, "dncnn17": ["layer.weights=bundled:dncnn17", "solver.tolerance=1e-3"]}
CELLS = {
    f"{network}_x{scale}_{dataset}_epsilon{epsilon}": [
        *COMMON,
        f"backbone={network}",
        f"scale={scale}",
        f"data={dataset}",
        f"epsilon={epsilon}",
    ]
    for network in ("rcan", "rdn")
    for scale in (2, 3, 4)
    for dataset in ("set5", "set14")
    for epsilon in (0, 0.1)
}
CELLS |= {
    f"rcan_x2_{dataset}_{name}": [
        *COMMON,
        *words,
        "beta=4",
        "epsilon=0",
        "solver.max_evaluations=200",
        "backbone=rcan",
        "scale=2",
        f"data={dataset}",
    ]
    for name, words in DENOISERS.items()
    for dataset in ("set5", "set14")
}
CELLS |= {
    f"dctlsa_x{scale}_{dataset}": [
        *COMMON,
        "backbone=spandrel",
        f"backbone.weights=weights/dctlsa/dctlsa_x{scale}.pth",
        "layer.weights=bundled:dctlsa",
        "epsilon=0",
        f"scale={scale}",
        f"data={dataset}",
    ]
    for scale in (2, 3, 4)
    for dataset in ("set5", "set14")
}
# the authors' own pictures of Set5, which a folder of published results holds, with LR as it was measured
LAYERS = {"published": "weights/mcnet_published/mcnet_rcan_x{}.pth", "rcan": "bundled:rcan", "rdn": "bundled:rdn"}
CELLS |= {
    f"pictures_{network}_x{scale}_{layer}": [
        *COMMON,
        "protocol=standard",
        "operator.boundary=replicate",
        "data=pairs",
        f"data.hr=sr_results/HR/Set5/x{scale}",
        f"data.lr=sr_results/LRBI/Set5/x{scale}",
        "backbone=precomputed",
        f"backbone.root=sr_results/{network.upper()}/Set5/x{scale}",
        f"layer.weights={LAYERS[layer].format(scale)}",
        f"scale={scale}",
        "epsilon=0.1",
    ]
    for network, layer in (("rcan", "published"), ("rcan", "rcan"), ("rdn", "rdn"))
    for scale in (2, 3, 4)
}

if __name__ == "__main__":
    experiment(HERE, CELLS)
