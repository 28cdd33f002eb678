"""How much a convolution can amplify: spectral normalisation for training, a sound bound for the certificate."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STATE_SIZE = 40  # side of the image on which the power iteration lives
START_ITERATIONS = 30
GRID = 32  # frequencies for each pixel of the kernel's radius: the bound is at most 1 % above the norm


class ConvolutionNorm(nn.Module):
    """Divides the weight (O, I, k, k) of a zero-padded, stride-1 convolution by its spectral norm as an operator.

    Power iteration with conv2d and its transpose on an image of fixed size (Ryu et al., ICML 2019); the iterate is kept
    between steps and frozen in eval. It estimates from below; `convolution_norm_bound` bounds from above.
    """

    vector: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        vector = torch.randn(1, weight.shape[1], STATE_SIZE, STATE_SIZE, dtype=weight.dtype, device=weight.device)
        self.register_buffer("vector", vector / vector.norm())
        self._iterate(weight.detach(), START_ITERATIONS)

    def forward(self, weight: Tensor) -> Tensor:
        """weight / sigma, differentiable in both; in training the power iteration advances by one step first."""
        if self.training and torch.is_grad_enabled():
            self._iterate(weight.detach(), 1)
        vector = self.vector.clone()  # autograd keeps it, the next step overwrites the buffer
        return weight / F.conv2d(vector, weight, padding=weight.shape[-1] // 2).norm()

    @torch.no_grad()
    def _iterate(self, weight: Tensor, steps: int) -> None:
        padding = weight.shape[-1] // 2
        vector = self.vector
        for _ in range(steps):
            image = F.conv2d(vector, weight, padding=padding)
            vector = F.conv_transpose2d(image, weight, padding=padding)
            vector = vector / vector.norm().clamp_min(torch.finfo(vector.dtype).tiny)
        self.vector.copy_(vector)


def convolution_norm_bound(weight: Tensor) -> float:
    """Upper bound of the l2 operator norm of a zero-padded convolution (O, I, k, k), valid for images of every size.

    A zero-padded convolution is a compression of the one on the whole plane, whose norm is the largest singular
    value of the symbol sum_j W_j exp(i <j, t>) over all frequencies t. Between the points of a grid a trigonometric
    polynomial of degree d grows at most by 1/cos(pi d / grid) per axis (Ehlich & Zeller 1964). In float64.
    """
    half = weight.shape[-1] // 2
    grid = GRID * max(half, 1)
    kernel = weight.detach().cpu().double()
    symbol = torch.fft.fft2(kernel, s=(grid, grid)).permute(2, 3, 0, 1)
    rows = symbol[: grid // 2 + 1]  # the rest is the complex conjugate: the kernel is real
    largest = torch.linalg.matrix_norm(rows.reshape(-1, *symbol.shape[2:]), ord=2).max()
    return float(largest) / math.cos(math.pi * half / grid) ** 2
