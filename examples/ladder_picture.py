"""Draws the ladder: what each method makes of a measurement, and how far it is from the truth, for three problems.

python examples/ladder_picture.py [OUTPUT.jpg]
"""

import sys

import torch
from PIL import Image, ImageDraw, ImageFont
from skimage.data import astronaut
from torch import Tensor

from mcnet_lightning import (
    BicubicDownsample,
    MCNet,
    MeasurementBall,
    MeasurementOperator,
    load_backbone,
    load_layer,
    project_measurement_ball,
)
from mcnet_lightning.data.sources import load_images
from mcnet_lightning.imaging import rgb_to_luma
from mcnet_lightning.methods import PnP
from mcnet_lightning.operators import BlurDecimation, upsample_bicubic
from mcnet_lightning.problems.mri import MRI

SIDE, LABEL, AMPLIFIED = 144, 18, 5
Row = list[tuple[str, Tensor]]  # the truth first


@torch.no_grad()
def super_resolution(A: MeasurementOperator, what: str, beta: float | None) -> Row:
    rgb = torch.from_numpy(astronaut()[36 : 36 + SIDE, 170 : 170 + SIDE]).permute(2, 0, 1)[None] / 255
    truth = rgb_to_luma(rgb)
    b = A(truth)
    enlarged = upsample_bicubic(b, 3, "truncated")
    layer = load_layer("bundled:paper", scale=3)
    if beta is not None:
        layer.set_prior_weight(beta)
    result = MCNet(load_backbone("srcnn", 3), layer, A)(b, backbone_input=enlarged)
    w = result.prior_image
    projected = project_measurement_ball(w, b, A, epsilon=0.0)
    return [(what, truth), ("bicubic", enlarged), ("SRCNN", w), ("projected", projected), ("MCNet", result.estimate)]


@torch.no_grad()
def heart() -> Row:
    problem = MRI(mask="radial", rate=0.2)
    image = next(iter(load_images("cardiac20", "test", kind="complex"))).rgb[None]
    observed = problem.observe(image, seed=0)
    A, b, start = observed.operator, observed.measurement, observed.start
    smooth = torch.nn.functional.avg_pool2d(start, 3, 1, 1)
    projected = project_measurement_ball(smooth, b, A, epsilon=0.0)
    pnp = PnP(max_iterations=30).solve(start, MeasurementBall(b, A, torch.zeros(1)))[0]
    row = [("a heart, 20 % of k-space", image), ("zero-filled", start), ("smoothed", smooth)]
    row += [("projected", projected), ("plug-and-play", pnp)]
    return [(name, x.norm(dim=1, keepdim=True)) for name, x in row]


def drawn(rows: list[Row]) -> Image.Image:
    width, height = (len(rows[0])) * (SIDE + 4), len(rows) * 2 * (SIDE + 2) + len(rows) * LABEL
    page, top = Image.new("RGB", (width, height), "white"), 0
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for row in rows:
        truth = row[0][1]
        for column, (name, x) in enumerate(row):
            error = (x - truth).abs()
            psnr = "" if column == 0 else f"  {-10 * error.square().mean().log10():.2f} dB"
            draw.text((column * (SIDE + 4) + 2, top + 2), name + psnr, "black", font)
            for place, values in enumerate((x, 1 - AMPLIFIED * error)):
                shown = (values[0, 0].clamp(0, 1) * 255).round().byte().numpy()
                cell = Image.fromarray(shown).resize((SIDE, SIDE), Image.Resampling.NEAREST)
                if column or not place:
                    page.paste(cell, (column * (SIDE + 4), top + LABEL + place * (SIDE + 2)))
        top += LABEL + 2 * (SIDE + 2)
    return page


if __name__ == "__main__":
    output = sys.argv[1] if len(sys.argv) > 1 else "ladder.jpg"
    known = super_resolution(BicubicDownsample(3), "a third of the pixels", None)
    blurred = super_resolution(BlurDecimation(3), "blurred before", 0.05)
    drawn([known, blurred, heart()]).save(output, quality=90)
    print(f"wrote {output}")
