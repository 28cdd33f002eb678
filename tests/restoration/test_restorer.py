"""Colour restoration: consistent in every channel, with the layer's Y; tiles; figures against dense references."""

import math

import numpy as np
import pytest
import torch
from pictures import pair, smooth
from references import dense_matrix, tiny_layer

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.backbones import tiling as tiling_module
from mcnet_lightning.backbones.tiling import Tiling, tiled_picture
from mcnet_lightning.errors import ConfigError, DataError, MCNetError
from mcnet_lightning.operators import (
    BicubicDownsample,
    BlurDownsample,
    Kernel,
    KernelDownsample,
    Mask,
    MeasurementOperator,
)
from mcnet_lightning.operators.blur import gaussian_kernel
from mcnet_lightning.restoration import Picture, Restorer, agreement, make_consistent
from mcnet_lightning.restoration.agreement import operator_digest
from mcnet_lightning.restoration.diagnosis import operator_warning
from mcnet_lightning.restoration.restorer import luma, with_luma

EVERY_OPERATOR = [
    BicubicDownsample(2, "symmetric"),
    KernelDownsample(4, Kernel("box")),
    BlurDownsample(gaussian_kernel(0.8), 2),
    Mask((torch.arange(48)[:, None] + torch.arange(64)) % 3 > 0),
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("backbone", ["srcnn", "rcan"])
def test_every_channel_agrees_and_y_is_the_layers(backbone: str, channels: int) -> None:
    operator = BicubicDownsample(2)
    _, lr = pair(operator, channels, size=(24, 32))
    layer = tiny_layer(tolerance=1e-6).float()
    restored = Restorer(load_backbone(backbone, 2), layer, operator)(lr)
    found = agreement(restored.picture, lr, operator)
    assert found.largest < 1e-12
    assert found.lr_psnr > 240
    assert restored.stats is not None
    y = layer(luma(restored.prior.colour)[None].float(), luma(lr.colour)[None].float(), operator).estimate
    torch.testing.assert_close(luma(restored.picture.colour).float(), y[0].detach(), rtol=0, atol=1e-6)


def test_without_a_layer_it_is_the_projection_of_the_backbone() -> None:
    operator = BicubicDownsample(2)
    _, lr = pair(operator, size=(24, 32))
    restored = Restorer(load_backbone("rcan", 2), None, operator)(lr)
    projected = make_consistent(restored.prior, lr, operator, 0.0)
    assert restored.stats is None
    torch.testing.assert_close(restored.picture.colour, projected.colour)


def test_alpha_follows_the_same_operator() -> None:
    operator = BicubicDownsample(2)
    _, lr = pair(operator, size=(24, 32))
    alpha = torch.rand(1, 12, 16, dtype=torch.float64)
    restored = Restorer(load_backbone("bicubic", 2), None, operator)(Picture(lr.colour, alpha))
    assert restored.picture.alpha is not None
    torch.testing.assert_close(operator(restored.picture.alpha[None])[0], alpha)


def test_new_luma_keeps_chroma() -> None:
    colour = smooth(3, 8, 8)
    y = smooth(1, 8, 8, seed=1)
    changed = with_luma(colour, y)
    torch.testing.assert_close(luma(changed), y)
    torch.testing.assert_close(changed[1:] - changed[:1], colour[1:] - colour[:1])


def test_backbone_of_another_scale_is_refused() -> None:
    with pytest.raises(ConfigError, match="same scale"):
        Restorer(load_backbone("bicubic", 3), None, BicubicDownsample(2))


@pytest.mark.parametrize("epsilon", [0.0, 0.05])
@pytest.mark.parametrize("operator", EVERY_OPERATOR, ids=lambda operator: operator.name)
def test_fix_is_the_nearest_consistent_picture(operator: MeasurementOperator, epsilon: float) -> None:
    truth = smooth(3, 48, 64)
    lr = Picture(operator(truth[None])[0])
    damaged = Picture((truth + 0.02 * torch.randn_like(truth)) ** 1.1)
    fixed = make_consistent(damaged, lr, operator, epsilon)
    found = agreement(fixed, lr, operator)
    assert found.largest <= epsilon + 1e-9
    assert agreement(damaged, lr, operator).largest > epsilon
    if epsilon == 0:  # projecting onto a set that holds the truth cannot lead away from it
        assert (fixed.colour - truth).norm() <= (damaged.colour - truth).norm() + 1e-12


def test_fix_equals_the_dense_projection() -> None:
    operator = KernelDownsample(2, Kernel("bilinear"))
    matrix = dense_matrix(operator, 1, 8, 10)
    image, b = torch.rand(1, 8, 10).double(), torch.rand(1, 4, 5).double()
    expected = image.flatten() - torch.linalg.pinv(matrix) @ (matrix @ image.flatten() - b.flatten())
    ours = make_consistent(Picture(image), Picture(b), operator, 0.0).colour
    torch.testing.assert_close(ours.flatten(), expected)


def test_gray_picture_takes_the_colours_of_its_measurement() -> None:
    operator = BicubicDownsample(2)
    truth, lr = pair(operator)
    fixed = make_consistent(Picture(luma(truth.colour)), lr, operator, 0.0)
    assert len(fixed.colour) == 3
    assert agreement(fixed, lr, operator).largest < 1e-12


def test_sizes_that_do_not_fit_are_refused() -> None:
    _, lr = pair()
    with pytest.raises(DataError, match="the measurement has 32 x 24; check the pair"):
        make_consistent(Picture(smooth(3, 50, 64)), lr, BicubicDownsample(2), 0.0)


def test_agreement_equals_a_plain_computation() -> None:
    operator = BicubicDownsample(2)
    truth, lr = pair(operator)
    found = agreement(truth, lr, operator)
    error = (operator(truth.colour[None])[0] - lr.colour).numpy()
    assert found.consistency["green"] == pytest.approx(np.linalg.norm(error[1]))
    assert found.lr_psnr == pytest.approx(-10 * math.log10((error**2).mean()))
    weights = np.array([65.738, 129.057, 25.064]) / 256
    assert found.consistency["luma"] == pytest.approx(np.linalg.norm(np.tensordot(weights, error, 1)))
    assert found.meets(found.largest)
    assert not found.meets(found.largest / 2)


def test_digest_tells_operators_apart_and_is_stable() -> None:
    digests = {operator_digest(operator) for operator in [*EVERY_OPERATOR, BicubicDownsample(2)]}
    assert len(digests) == len(EVERY_OPERATOR) + 1
    assert operator_digest(BicubicDownsample(2)) == operator_digest(KernelDownsample(2, Kernel("bicubic")))


# ---------------------------------------------------------------------------------------- tiles


@pytest.mark.parametrize(("name", "overlap"), [("srcnn", 8), ("rdn", 40)])
def test_tiles_equal_the_whole(name: str, overlap: int) -> None:
    """Exact where the overlap covers the receptive field."""
    backbone = load_backbone(name, 2)
    channels, factor = (1, 2) if name == "srcnn" else (3, 1)
    image = smooth(channels, 66 * factor, 90 * factor)[None].float()
    whole = backbone.picture(image)
    tiles = tiled_picture(backbone, image, Tiling(32, overlap))
    torch.testing.assert_close(tiles, whole, rtol=0, atol=2e-5)


def test_tiles_of_channel_attention_nearly_equal_the_whole() -> None:
    backbone = load_backbone("rcan", 2)
    image = smooth(3, 66, 90)[None].float()
    difference = tiled_picture(backbone, image, Tiling(48, 16)) - backbone.picture(image)
    assert difference.square().mean().sqrt() < 2e-3


def test_tiles_shrink_until_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_backbone("srcnn", 2)
    image = smooth(1, 180, 200)[None].float()
    whole, tried, real = backbone.picture(image), [], backbone.picture

    def limited(tile: torch.Tensor) -> torch.Tensor:
        tried.append(tile.shape[-1])
        if tile.shape[-1] > 120:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory")
        return real(tile)

    monkeypatch.setattr(backbone, "picture", limited)
    torch.testing.assert_close(tiled_picture(backbone, image, Tiling(128, 8)), whole, rtol=0, atol=2e-5)
    assert max(tried) == 200
    monkeypatch.setattr(tiling_module, "SMALLEST_TILE", 100)
    with pytest.raises(MCNetError, match="does not fit into memory"):
        tiled_picture(backbone, image, Tiling(128, 8))


def test_other_errors_of_a_backbone_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_backbone("srcnn", 2)
    monkeypatch.setattr(backbone, "picture", lambda tile: (_ for _ in ()).throw(RuntimeError("bug")))
    with pytest.raises(RuntimeError, match="bug"):
        tiled_picture(backbone, torch.zeros(1, 1, 8, 8), Tiling())


# ---------------------------------------------------------------------------------------- does the operator fit?


def test_an_lr_of_another_operator_is_noticed_and_epsilon_suggested() -> None:
    operator = BicubicDownsample(2)
    truth, lr = pair(operator, size=(64, 96))
    assert operator_warning(truth, lr, operator, 0.0) is None
    noisy = Picture((lr.colour + 0.05 * torch.randn_like(lr.colour)).clamp(0, 1))
    warning = operator_warning(truth, noisy, operator, 0.0)
    assert warning is not None
    assert "fits badly" in warning
    assert 1.5 < float(warning.rsplit("epsilon=")[1]) < 2.5  # 0.05 * sqrt(32 * 48) = 1.96
    assert operator_warning(truth, noisy, operator, 3.0) is None
