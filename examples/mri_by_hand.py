"""From measured k-space to an image that agrees with it, checked: what `problem=mri` does, in the open.

python examples/mri_by_hand.py
"""

import torch

from mcnet_lightning import MCNet, MeasurementBall, load_layer, project_measurement_ball
from mcnet_lightning.data.sources import load_images
from mcnet_lightning.methods import PnP
from mcnet_lightning.problems.mri import MRI

problem = MRI(mask="radial", rate=0.2)  # complex images, a mask for each
heart = next(iter(load_images("cardiac20", "test", kind="complex"))).rgb[None]  # (1, 2, 128, 128), peak 1
observed = problem.observe(heart, seed=0)  # b = M F x, with A of exactly this image
A, b, start = observed.operator, observed.measurement, observed.start
print(f"{int((b != 0).any(1).sum())} of {b[0, 0].numel()} samples of k-space were measured")


@torch.no_grad()
def told(name: str, image: torch.Tensor) -> None:
    figures = {figure: float(value) for figure, value in problem.quality(image, observed.truth).items()}
    print(
        f"{name:22} PSNR {figures['psnr']:.2f} dB, SSIM {figures['ssim']:.4f}, ||A x - b|| {(A(image) - b).norm():.1e}"
    )


told("zero-filled", start)
smooth = torch.nn.functional.avg_pool2d(start, 3, 1, 1)  # stands for a network that forgets what was measured
told("smoothed", smooth)
told("smoothed, projected", project_measurement_ball(smooth, b, A, epsilon=0.0))

ball = MeasurementBall(b, A, torch.zeros(1))
told("plug-and-play", PnP(max_iterations=30).solve(start, ball)[0])  # a denoiser of 17 layers in the layer's iteration

layer = load_layer("bundled:paper_x4", backbone="none", scale="mri")  # trained for photographs; it serves here
layer.set_prior_weight(0.02)
result = MCNet(None, layer, A)(b, prior_image=start)
told("layer on zero-filled", result.estimate)
result.stats.raise_if_failed()  # says which image is not within epsilon, or did not converge
print(f"{int(result.stats.evaluations)} evaluations, distance {float(result.stats.distance):.1e}")
