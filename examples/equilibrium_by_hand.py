"""The equilibrium by hand on one image: the map T, its fixed point and its gradient, with nothing hidden.

python examples/equilibrium_by_hand.py
"""

import torch
from skimage.data import astronaut

from mcnet_lightning import BicubicDownsample, MCNet, load_backbone, load_layer, project_measurement_ball
from mcnet_lightning.imaging import rgb_to_luma

rgb = torch.from_numpy(astronaut()[64:160, 176:272]).permute(2, 0, 1)[None] / 255
truth = rgb_to_luma(rgb)  # (1, 1, 96, 96)
A = BicubicDownsample(scale=2)
b = A(truth)
layer = load_layer("bundled", backbone="srcnn", scale=2).eval()
model = MCNet(load_backbone("srcnn", scale=2), layer, A)
w = model(b).prior_image  # what the frozen network makes of b


@torch.no_grad()
def psnr(image: torch.Tensor) -> float:
    return float(-10 * (image - truth).square().mean().log10())


beta, R = layer.prior_weight.detach(), layer.denoiser
y = w
with torch.no_grad():
    for step in range(60):  # plain iteration; the layer's solver needs a quarter of it
        x = project_measurement_ball((beta * w + y) / (beta + 1), b, A, epsilon=0.0)
        u = R(2 * x - y)
        residual = (u - x).norm() / y.norm()  # T(y) - y = u - x
        y = y + u - x
        if step % 10 == 0:
            print(f"step {step:2}: residual {residual:.1e}, ||A x - b|| {(A(x) - b).norm():.1e}, PSNR {psnr(x):.3f} dB")

result = model(b)
print(f"the layer: {int(result.stats.evaluations)} evaluations, residual {float(result.stats.residual):.1e}")
print(
    f"network {psnr(w):.3f} dB, projected {psnr(project_measurement_ball(w, b, A, 0.0)):.3f} dB, "
    f"MCNet {psnr(result.estimate):.3f} dB; by hand and by layer {(x - result.estimate).abs().max():.1e} apart"
)

layer.train()  # the gradient goes through the fixed point, not through the 60 steps
loss = (model(b).estimate - truth).square().mean()
loss.backward()
norm = torch.stack([p.grad.norm() for p in layer.parameters() if p.grad is not None]).norm()
print(f"gradient of the loss with respect to the denoiser and beta: norm {norm:.2e}")
