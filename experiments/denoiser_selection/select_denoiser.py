"""Which denoiser makes the best prior: plug-and-play PSNR of each on held-out training images, never on a test set.

python experiments/denoiser_selection/select_denoiser.py --root DIR --scale 2 RUN/weights.safetensors bundled other.pth
"""

import argparse
import csv
import sys
from pathlib import Path

import torch

from mcnet_lightning.data import MeasurementDataModule, WholeImages
from mcnet_lightning.equilibrium import MeasurementBall
from mcnet_lightning.errors import MCNetError
from mcnet_lightning.methods import PnP, load_pnp_denoiser
from mcnet_lightning.problems import Observation
from mcnet_lightning.problems.super_resolution import SuperResolution

COLUMNS = ("scale", "denoiser", "psnr_y", "gain_over_bicubic", "iterations", "converged")


def measure(solver: PnP, images: WholeImages) -> list[float]:
    """Means over images: PSNR and gain over bicubic in dB, iterations, share that converged."""
    figures = []
    for image in (images[index] for index in range(len(images))):
        seen: Observation = image["observation"]
        estimate, stats = solver.solve(seen.inputs["upsampled"], MeasurementBall(seen.measurement, seen.operator))
        pair = (estimate, seen.inputs["upsampled"])
        after, before = (images.problem.headline(picture, seen.truth).item() for picture in pair)
        figures.append([after, after - before, float(stats.evaluations[0]), float(stats.converged[0])])
    return torch.tensor(figures, dtype=torch.float64).mean(dim=0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("denoisers", nargs="+", help="bundled, bundled:NAME, or paths, as for pnp.weights")
    parser.add_argument("--root", help="folder that holds train/NAME; by default T91 is downloaded")
    parser.add_argument("--train", nargs="+", default=["T91"], help="training sets; every tenth image is held out")
    parser.add_argument("--scale", type=int, nargs="+", default=[2, 3, 4], choices=(2, 3, 4))
    parser.add_argument("--images", type=int, default=9, help="held-out images")
    parser.add_argument("--size", type=int, default=96, help="side of their central crops")
    parser.add_argument("--output", type=Path, default=Path("denoiser_selection.csv"))
    arguments = parser.parse_args()
    rows = []
    for scale in arguments.scale:
        data = MeasurementDataModule(
            SuperResolution("paper", scale),
            arguments.train,
            (),
            arguments.root,
            validation_size=arguments.size,
            validation_images=arguments.images,
        )
        images = data.held_out_images()
        for name in arguments.denoisers:
            figures = measure(PnP(load_pnp_denoiser(name)), images)
            rows.append(dict(zip(COLUMNS, (scale, Path(name).stem, *figures), strict=True)))
            print(f"x{scale}  {name}  {figures[0]:.3f} dB  {figures[1]:+.3f}  {figures[2]:.1f} iterations", flush=True)
        best = max((row for row in rows if row["scale"] == scale), key=lambda row: row["psnr_y"])
        print(f"x{scale}: best is {best['denoiser']}")
    with arguments.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


if __name__ == "__main__":
    try:
        main()
    except MCNetError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
