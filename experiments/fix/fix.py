"""Projects other people's super-resolved pictures, and damaged ones, onto their LR: prints the table of README.md.

python experiments/fix/fix.py PICTURES WORK
PICTURES holds METHOD/Set5/xS/NAME_METHOD_xS.png, HR/Set5/xS/NAME_HR_xS.png and LRBI/Set5/xS/NAME_LRBI_xS.png.
"""

import io
import shutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mcnet_lightning import BicubicDownsample
from mcnet_lightning.files import write_file
from mcnet_lightning.operators.resize import Boundary
from mcnet_lightning.restoration import Picture, agreement, read_picture
from mcnet_lightning.restoration.batch import Saving, fix_pictures
from mcnet_lightning.restoration.writing import encode

METHODS, SCALES = ("RCAN", "RDN"), (2, 3, 4)
BOUNDARY: Boundary = "replicate"


def jpeg(picture: Picture) -> Picture:
    target = io.BytesIO()
    levels = (picture.colour * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(target, "JPEG", quality=60)
    decoded = np.asarray(Image.open(target)).astype(np.float64) / 255
    return replace(picture, colour=torch.from_numpy(decoded).permute(2, 0, 1))


def shifted(picture: Picture) -> Picture:
    return replace(picture, colour=torch.cat([picture.colour[..., :1], picture.colour[..., :-1]], dim=-1))


DAMAGES: dict[str, Callable[[Picture], Picture]] = {
    "none": lambda picture: picture,
    "JPEG 60": jpeg,
    "gamma 1.1": lambda picture: replace(picture, colour=picture.colour**1.1),
    "1 px shift": shifted,
}


def psnr(picture: Picture, truth: Picture) -> float:
    """Whole image, all channels, not clipped, in dB."""
    return float(-10 * (picture.colour - truth.colour).square().mean().log10())


def measure(pictures: Path, work: Path, method: str, damage: str, scale: int) -> list[str]:
    """One row: means over the images, and the worst change of PSNR with the unrounded LR."""
    operator = BicubicDownsample(scale, BOUNDARY)

    def folder(kind: str) -> Path:
        return pictures / kind / "Set5" / f"x{scale}"

    sr, exact = work / "sr", work / "lr"
    shutil.rmtree(work, ignore_errors=True)
    truths, before, before_lr = {}, {}, {}
    for path in sorted(folder(method).glob("*.png")):
        name = path.stem.split("_")[0]
        truths[name] = read_picture(folder("HR") / f"{name}_HR_x{scale}.png")
        damaged = DAMAGES[damage](read_picture(path))
        lr = Picture(operator(truths[name].colour[None])[0])
        for target, picture in ((sr / f"{name}.tiff", damaged), (exact / f"{name}.tiff", lr)):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(target, encode(picture, "tiff"))
        published = read_picture(folder("LRBI") / f"{name}_LRBI_x{scale}.png")
        before[name], before_lr[name] = psnr(damaged, truths[name]), agreement(damaged, published, operator).lr_psnr
    after, lowest = {}, {}
    for kind, lr_folder in (("float", exact), ("8 bit", folder("LRBI"))):
        report = fix_pictures(sr, lr_folder, operator, 0.0, Saving(work / kind, "tiff"))
        report.raise_if_failed()
        saved = {name: read_picture(work / kind / f"{name}.tiff") for name in truths}
        after[kind] = {name: psnr(picture, truths[name]) for name, picture in saved.items()}
        lowest[kind] = min(certificate["lr_psnr"] for certificate in report.made)
    worst = min(after["float"][name] - before[name] for name in truths)
    mean = statistics.mean
    figures = [mean(before.values()), mean(after["float"].values()), worst, mean(after["8 bit"].values())]
    return [
        f"{method} x{scale}",
        damage,
        *(f"{value:+.3f}" if index == 2 else f"{value:.3f}" for index, value in enumerate(figures)),
        f"{mean(before_lr.values()):.1f}",
        f"{min(lowest.values()):.1f}",
    ]


def main() -> None:
    pictures, work = (Path(word) for word in sys.argv[1:])
    for method in METHODS:
        for scale in SCALES:
            for damage in DAMAGES:
                print("| " + " | ".join(measure(pictures, work / "run", method, damage, scale)) + " |", flush=True)


if __name__ == "__main__":
    main()
