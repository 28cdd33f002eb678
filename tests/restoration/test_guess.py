"""Which operator made this LR: told apart on textured pictures, by programs that are not ours."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pictures import levels, smooth
from PIL import Image
from skimage import data

from mcnet_lightning.errors import DataError
from mcnet_lightning.operators import BicubicDownsample, Kernel, KernelDownsample
from mcnet_lightning.operators.resize import Boundary
from mcnet_lightning.problems.super_resolution import SuperResolution
from mcnet_lightning.restoration import Picture, guess_operator
from mcnet_lightning.restoration.guess import scale_of

scales = pytest.mark.parametrize("scale", [2, 3, 4])


def photograph(size: int = 120) -> torch.Tensor:
    """(3, H, W) in whole levels, from the embedded photograph of a cat."""
    return torch.from_numpy(data.chelsea()[60 : 60 + size, 100 : 100 + size].transpose(2, 0, 1).copy()).double() / 255


@scales
def test_torch_and_pillow_are_recognised(scale: int) -> None:
    hr = photograph()
    lr = F.interpolate(hr[None].float(), scale_factor=1 / scale, mode="bicubic", antialias=True)[0].double()
    for rounded in (levels(lr), (lr.clamp(0, 1) * 255).floor() / 255):
        verdict = guess_operator(Picture(hr), Picture(rounded))
        assert verdict.best.operator.name == f"bicubic-x{scale}-truncated"
        assert verdict.fits in ("exactly", "rounding")
    pixels = Image.fromarray((hr * 255).byte().permute(1, 2, 0).numpy())
    small = np.asarray(pixels.resize((120 // scale, 120 // scale), Image.Resampling.LANCZOS))
    verdict = guess_operator(Picture(hr), Picture(torch.from_numpy(small.transpose(2, 0, 1) / 255.0)))
    assert verdict.best.operator.name == f"lanczos-x{scale}-truncated"


@scales
@pytest.mark.parametrize("boundary", ["symmetric", "replicate"])
def test_matlab_is_recognised_exactly(scale: int, boundary: Boundary) -> None:
    hr = photograph()
    lr = SuperResolution("standard", scale, boundary).downsample(hr[None])[1][0]
    verdict = guess_operator(Picture(hr), Picture(lr))
    assert verdict.best.operator.name == f"bicubic-x{scale}-{boundary}"
    assert verdict.fits == "exactly"
    assert "MATLAB" in verdict.sentence


@pytest.mark.parametrize(
    "kernel",
    [Kernel("box"), Kernel("bilinear"), Kernel("bicubic", antialiased=False), Kernel("gaussian", 1.6)],
    ids=lambda kernel: kernel.name,
)
def test_other_kernels_are_recognised(kernel: Kernel) -> None:
    hr = photograph()
    lr = levels(KernelDownsample(2, kernel, "symmetric")(hr[None])[0])
    assert guess_operator(Picture(hr), Picture(lr)).best.operator.kernel == kernel


@pytest.mark.parametrize("damage", ["shift", "gamma", "nearest", "noise"])
def test_says_so_when_none_fits(damage: str) -> None:
    hr = photograph()
    lr = BicubicDownsample(2)(hr[None])[0]
    lr = {
        "shift": lambda: lr.roll(1, dims=2),
        "gamma": lambda: lr**1.2,
        "nearest": lambda: hr[:, ::2, ::2],
        "noise": lambda: lr + 0.03 * torch.randn_like(lr),
    }[damage]()
    verdict = guess_operator(Picture(hr), Picture(levels(lr)))
    assert verdict.fits == "none"
    assert verdict.sentence.startswith("none fits")


def test_a_super_resolved_picture_fits_approximately() -> None:
    hr = photograph()
    lr = levels(BicubicDownsample(2)(hr[None])[0])
    error = F.interpolate(torch.randn(1, 3, 60, 60).double(), size=(120, 120), mode="bilinear")[0]
    verdict = guess_operator(Picture(hr + 0.006 * error), Picture(lr))
    assert verdict.fits == "approximately"
    assert "bicubic" in verdict.best.operator.name


def test_hr_of_any_size_and_gray_lr() -> None:
    hr = photograph()[:, :119, :118]
    lr = BicubicDownsample(4)(hr[None])[0].mean(dim=0, keepdim=True)
    with pytest.raises(DataError, match="not 2, 3 or 4 times"):
        scale_of(Picture(hr), Picture(smooth(1, 100, 100)))
    with pytest.raises(DataError, match="check the pair and the scale"):
        guess_operator(Picture(hr), Picture(lr), scale=2)
    assert guess_operator(Picture(hr.mean(dim=0, keepdim=True)), Picture(levels(lr))).best.operator.scale == 4
