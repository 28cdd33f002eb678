"""Convolutions joined with what follows them: equal to the plain operations, and used only where they may be."""

import pytest
import torch
import torch.nn.functional as F
from references import relative_error
from torch import Tensor

from mcnet_lightning.denoisers import convolution
from mcnet_lightning.denoisers.convolution import convolve, convolve_relu, convolve_where, fuses, fusing_works, positive

DTYPES = [torch.float32, torch.bfloat16]
ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 4e-3}


def drawn(dtype: torch.dtype, inputs: int = 16, outputs: int = 24) -> tuple[Tensor, Tensor]:
    """Features and weight."""
    features, weight = torch.randn(3, inputs, 13, 10), torch.randn(outputs, inputs, 3, 3) / inputs
    laid_out = [each.to(dtype, memory_format=torch.channels_last) for each in (features, weight)]
    return laid_out[0], laid_out[1]


def exact(features: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(features.double(), weight.double(), padding=1)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@torch.no_grad()
def test_equal_the_plain_operations(dtype: torch.dtype, fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if fused and not fusing_works(dtype):
        pytest.skip(f"this PyTorch has no fused convolutions in {dtype} for this processor")
    monkeypatch.setattr(convolution, "fusing_works", lambda dtype: fused)
    features, weight = drawn(dtype)
    assert fuses(features, weight) == fused
    found = convolve_relu(features, weight)
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert relative_error(found.double(), exact(features, weight).relu()) <= ROUNDING[dtype]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("activations", DTYPES)
@torch.no_grad()
def test_masks_multiply_bits_exactly(dtype: torch.dtype, activations: torch.dtype) -> None:
    features, weight = drawn(dtype)
    layer = torch.randn(3, 24, 13, 10).relu().to(activations, memory_format=torch.channels_last)
    layer[0, 0, 0, :2] = torch.tensor([torch.finfo(activations).tiny, torch.inf])
    found = convolve_where(features, weight, positive(layer, dtype))
    assert found.dtype == dtype
    assert torch.equal(found, torch.where(layer > 0, convolve(features, weight), 0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_output_channel_is_a_convolution_too(dtype: torch.dtype) -> None:
    features, weight = drawn(dtype, outputs=1)
    leaves = [features.requires_grad_(), weight.requires_grad_()]
    found, expected = convolve(features, weight), exact(features, weight)
    assert relative_error(found.detach().double(), expected.detach()) <= 1e-6
    direction = torch.randn_like(found)
    gradients = torch.autograd.grad(found, leaves, direction)
    wanted = torch.autograd.grad(expected, leaves, direction.double())
    for gradient, reference in zip(gradients, wanted, strict=True):
        assert relative_error(gradient.double(), reference.double()) <= 1e-5


def test_a_tape_is_never_lost() -> None:
    features, weight = drawn(torch.float32)
    weight.requires_grad_()
    assert convolve_relu(features, weight).requires_grad


@torch.no_grad()
def test_autocast_and_other_types_go_the_plain_way() -> None:
    features, weight = drawn(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not fuses(features, weight)
        assert convolve_relu(features, weight).dtype == torch.bfloat16
    assert not fuses(features.double(), weight.double())


@pytest.mark.parametrize("how", ["absent", "refuses", "wrong"])
def test_what_does_not_work_is_not_used(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fused(features: Tensor, weight: Tensor) -> Tensor:
        if how == "absent":
            raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_convolution_pointwise'")
        if how == "refuses":
            raise RuntimeError("mkldnn_convolution_pointwise: needs avx512")
        return convolve(features, weight)

    monkeypatch.setattr(convolution, "fused_convolution_relu", fused)
    fusing_works.cache_clear()
    try:
        assert not fusing_works(torch.float32)
    finally:
        fusing_works.cache_clear()
