"""PSNR of every bundled layer against the solver's tolerance, in float64: python experiments/tolerance_curve/layers.py

Set5, central crops, protocol `paper`; the layer on the network that it was trained on. Goes on where it was stopped,
and measures again what other code of the package has measured.
"""

import argparse
import csv
from pathlib import Path

import torch

from mcnet_lightning import load_backbone, load_layer
from mcnet_lightning.data import MeasurementDataModule
from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files import staged
from mcnet_lightning.problems.quality import psnr
from mcnet_lightning.problems.super_resolution import SuperResolution
from mcnet_lightning.sweeps.content import code_version

TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
COLUMNS = ("layer", "scale", "tolerance", "psnr_y", "evaluations", "residual", "code")
OUTPUT = Path(__file__).resolve().parent / "results" / "layers_float64.csv"
# the layer's name -> the network and weights that it belongs to
LAYERS = {
    "paper": ("srcnn", "official"),
    "srcnn": ("srcnn", "bundled"),
    "rdn": ("rdn", "bundled"),
    "rcan": ("rcan", "bundled"),
    "dctlsa": ("spandrel", ""),
}


def curve(name: str, scale: int, weights: str, root: str, crop: int) -> list[dict[str, object]]:
    """One row per tolerance, of means over images; each tolerance starts where the one before ended."""
    backbone = load_backbone(LAYERS[name][0], scale, weights)
    layer = load_layer(f"bundled:{name}", scale=scale).double()
    degradation = SuperResolution("paper", scale)
    data = MeasurementDataModule(degradation, (), ("Set5",), root)
    images = data.test_images()
    images.crop = crop
    rows = []
    states: list[torch.Tensor | None] = [None] * len(images)
    for tolerance in TOLERANCES:
        layer.solver.tolerance, layer.solver.max_evaluations = tolerance, 500
        figures = []
        for index in range(len(images)):
            image = images[index]
            b = image["observation"].measurement.double()
            with torch.no_grad():
                w = backbone.of(image["observation"]).double()
                result = layer(w, b, degradation.operator, 0.0, states[index])
            states[index] = result.state
            quality = psnr(result.estimate, image["observation"].truth.double(), scale).item()
            figures.append((quality, float(result.stats.evaluations), float(result.stats.residual)))
        means = torch.tensor(figures, dtype=torch.float64).mean(dim=0).tolist()
        rows.append(dict(zip(COLUMNS, (name, scale, tolerance, *means, code_version()), strict=True)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="folder that holds test/Set5; by default it is downloaded")
    parser.add_argument("--dctlsa", type=Path, help="folder with dctlsa_x2.pth and so on; without it they are left out")
    parser.add_argument("--crop", type=int, default=144, help="side of the central crops in pixels")
    arguments = parser.parse_args()
    rows = list(csv.DictReader(OUTPUT.read_text().splitlines())) if OUTPUT.is_file() else []
    for name, (_, weights) in LAYERS.items():
        for scale in (2, 3, 4):
            known = [row for row in rows if (row["layer"], int(row["scale"])) == (name, scale)]
            if known and all(row.get("code") == code_version() for row in known):
                continue
            path = weights or (arguments.dctlsa and str(arguments.dctlsa / f"{name}_x{scale}.pth"))
            if not path:
                continue
            try:
                measured = curve(name, scale, path, arguments.root, arguments.crop)
            except WeightsError as error:
                print(f"left out: {error}")
                continue
            rows = [row for row in rows if row not in known] + measured
            *_, middle, _, last = (float(row["psnr_y"]) for row in rows)
            print(f"{name} x{scale}: {middle:.4f} dB at 1e-5, {last - middle:+.4f} dB at 1e-7", flush=True)
            OUTPUT.parent.mkdir(exist_ok=True)
            with staged(OUTPUT) as temporary, temporary.open("w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    main()
