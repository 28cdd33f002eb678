"""PSNR of every bundled layer against the solver's tolerance, in float64: python experiments/tolerance_curve/layers.py

The layer on the network, and for the problem, that it was trained on: super-resolution on central crops of Set5, those
of other problems on what their cards name. Goes on where it was stopped, and measures again what other code of the
package has measured.
"""

import argparse
import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mcnet_lightning import load_backbone, load_layer
from mcnet_lightning.data import MeasurementDataModule
from mcnet_lightning.errors import MCNetError
from mcnet_lightning.files import staged
from mcnet_lightning.operators import BlurDecimation
from mcnet_lightning.problems import Problem
from mcnet_lightning.problems.deblurring import Deblurring
from mcnet_lightning.problems.inpainting import Inpainting
from mcnet_lightning.problems.mri import MRI
from mcnet_lightning.problems.super_resolution import SuperResolution
from mcnet_lightning.sweeps.content import code_version

TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
COLUMNS = ("layer", "scale", "tolerance", "psnr_y", "evaluations", "residual", "code")
MOST = 5  # images of a larger set, evenly over it
OUTPUT = Path(__file__).resolve().parent / "results" / "layers_float64.csv"


@dataclass(frozen=True)
class Subject:
    """What a layer belongs to; without weights, the network's are in the folder --dctlsa."""

    problem: Problem
    backbone: str
    weights: str = "bundled"
    dataset: str = "Set5"


# name and scale (or problem) of every bundled layer
LAYERS: dict[tuple[str, int | str], Subject] = {
    (name, scale): Subject(SuperResolution("paper", scale), backbone, weights)
    for name, backbone, weights in (
        ("paper", "srcnn", "official"),
        ("srcnn", "srcnn", "bundled"),
        ("rdn", "rdn", "bundled"),
        ("rcan", "rcan", "bundled"),
        ("dctlsa", "spandrel", ""),
    )
    for scale in (2, 3, 4)
}
LAYERS["dctlsa_bd", 3] = Subject(SuperResolution("standard", 3, operator=BlurDecimation(3)), "spandrel", "")
LAYERS["unet", "inpainting"] = Subject(Inpainting(), "unet", dataset="photographs")
LAYERS["unet", "deblurring"] = Subject(Deblurring(), "unet", dataset="photographs")
LAYERS["unet", "mri"] = Subject(MRI(size=128), "unet", dataset="siat")


def curve(name: str, scale: int | str, subject: Subject, root: str | None, crop: int) -> list[dict[str, object]]:
    """One row per tolerance, of means over images; each tolerance starts where the one before ended."""
    backbone = load_backbone(subject.backbone, scale, subject.weights)
    layer = load_layer(f"bundled:{name}", scale=scale).double()
    images = MeasurementDataModule(subject.problem, (), (subject.dataset,), root).test_images()
    images.crop = crop if subject.problem.local else None
    images.images = images.images[:: math.ceil(len(images) / MOST)]
    rows = []
    states: list[torch.Tensor | None] = [None] * len(images)
    for tolerance in TOLERANCES:
        layer.solver.tolerance, layer.solver.max_evaluations = tolerance, 500
        figures = []
        for index in range(len(images)):
            seen = images[index]["observation"]
            with torch.no_grad():
                w = backbone.of(seen).double()
                radius = subject.problem.radius(seen) if subject.problem.noisy else 0.0
                result = layer(w, seen.measurement.double(), seen.operator, radius, states[index])
            states[index] = result.state
            quality = subject.problem.headline(result.estimate, seen.truth.double()).item()
            figures.append((quality, float(result.stats.evaluations), float(result.stats.residual)))
        means = torch.tensor(figures, dtype=torch.float64).mean(dim=0).tolist()
        rows.append(dict(zip(COLUMNS, (name, scale, tolerance, *means, code_version()), strict=True)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="folder that holds test/Set5 and mri/siat200; by default they are downloaded")
    parser.add_argument("--dctlsa", type=Path, help="folder with dctlsa_x2.pth and so on; without it they are left out")
    parser.add_argument("--crop", type=int, default=144, help="side of the central crops in pixels")
    arguments = parser.parse_args()
    rows = list(csv.DictReader(OUTPUT.read_text().splitlines())) if OUTPUT.is_file() else []
    for (name, scale), subject in LAYERS.items():
        known = [row for row in rows if (row["layer"], row["scale"]) == (name, str(scale))]
        if known and all(row.get("code") == code_version() for row in known):
            continue
        if not subject.weights:
            if arguments.dctlsa is None:
                continue
            subject = replace(subject, weights=str(arguments.dctlsa / f"dctlsa_x{scale}.pth"))
        try:
            measured = curve(name, scale, subject, arguments.root, arguments.crop)
        except MCNetError as error:
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
