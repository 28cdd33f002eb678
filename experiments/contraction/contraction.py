"""Runs the experiment of README.md: python experiments/contraction/contraction.py IMAGE [LAYER.pth ...]"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mcnet_lightning import AndersonSolver, BicubicDownsample, MCNet, MeasurementBall, load_backbone, load_layer
from mcnet_lightning.equilibrium.jacobian import local_jacobian
from mcnet_lightning.equilibrium.splitting import DouglasRachfordMap

SIZE, CAP = 48, 100
BETAS = (None, 0.02, 0.05)  # None: the layer's own


def main(image: str, *layers: str) -> None:
    gray = np.asarray(Image.open(image).convert("L"), dtype=np.float64)[:SIZE, :SIZE] / 255
    A, truth = BicubicDownsample(2), torch.from_numpy(gray)[None, None]
    b = A(truth)
    w = MCNet(load_backbone("srcnn", 2), load_layer("bundled", "srcnn", 2), A)(b.float()).prior_image.double()
    rows = []
    for name in (*layers, "bundled"):
        layer = load_layer(name, "srcnn", 2).double().eval()
        for beta in BETAS:
            weight = layer.prior_weight.detach() if beta is None else torch.tensor(beta, dtype=torch.float64)
            ball = MeasurementBall(b, A, torch.zeros(1, dtype=torch.float64))
            T = DouglasRachfordMap(layer.denoiser.bind(), ball, w, weight)
            state, stats = AndersonSolver(tolerance=1e-8, max_evaluations=CAP).solve(T, w)
            local = local_jacobian(T, state)
            found = (float(weight), float(local.norm), float(local.spectral_radius), float(stats.residual))
            values = [f"{value:{form}}" for value, form in zip(found, (".4f", ".3f", ".3f", ".0e"), strict=True)]
            rows.append([Path(name).stem, *values[:3], int(stats.evaluations), values[3]])
            print(*rows[-1], flush=True)
    with (Path(__file__).parent / "results" / "contraction.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["layer", "beta", "norm of T'", "spectral radius", "evaluations", "residual"])
        writer.writerows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
