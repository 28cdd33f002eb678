"""An operator of one's own in 30 lines: a camera that averages 2 x 2 pixels and has dead columns.

python examples/own_operator.py
"""

import torch
import torch.nn.functional as F
from skimage.data import camera
from torch import Tensor

from mcnet_lightning import MCNet, MeasurementOperator, check_adjoint, load_layer, project_measurement_ball


class Camera(MeasurementOperator):
    name = "camera"

    def measurement_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        return image_size[0] // 2, image_size[1] // 2

    def __call__(self, image: Tensor) -> Tensor:
        b = F.avg_pool2d(image, 2)
        return b * (torch.arange(b.shape[-1], device=b.device) % 8 != 3)  # every eighth column is dead

    def adjoint(self, measurement: Tensor, image_size: tuple[int, int] | None = None) -> Tensor:
        alive = measurement * (torch.arange(measurement.shape[-1], device=measurement.device) % 8 != 3)
        return alive.repeat_interleave(2, -2).repeat_interleave(2, -1) / 4


A = Camera()
print(f"<A x, y> - <x, A^T y>: {check_adjoint(A, (1, 16, 16)):.1e}")
truth = torch.from_numpy(camera()[128:224, 192:288]).float()[None, None] / 255
b = A(truth)
w = F.interpolate(b, scale_factor=2, mode="bicubic")  # a network of yours would do better
projected = project_measurement_ball(w, b, A, epsilon=0.0)
result = MCNet(None, load_layer("bundled:paper", scale=2), A)(b, prior_image=w)
for name, image in (("interpolated", w), ("projected", projected), ("MCNet", result.estimate)):
    psnr, away = -10 * (image - truth).square().mean().log10(), (A(image) - b).norm()
    print(f"{name:13} PSNR {psnr:.2f} dB, ||A x - b|| {away:.1e}")
result.stats.raise_if_failed()
