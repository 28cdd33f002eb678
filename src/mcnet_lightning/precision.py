"""Where half precision pays, and where nothing less than full precision will do."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from operator import attrgetter

import torch

CPU_PROBES = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # PyTorch has no public ones
FLOAT32_PRODUCTS = attrgetter("cuda.matmul", "cudnn.conv", "mkldnn.matmul", "mkldnn.conv")(torch.backends)


@cache
def half_pays(device: torch.device) -> bool:
    """Whether bfloat16 convolutions are at least twice as fast as float32 there: CPUs with AMX or AVX512-BF16, GPUs
    with bf16 units. Elsewhere they are emulated, and slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in CPU_PROBES)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast, and products of float32 numbers computed as such, whatever the process allows them elsewhere.

    TF32, cuDNN's default for convolutions, keeps 10 bits of them: the iteration then stalls at a residual of 3e-4, and
    A x misses b.
    """
    allowed = [products.fp32_precision for products in FLOAT32_PRODUCTS]
    try:
        for products in FLOAT32_PRODUCTS:
            products.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for products, precision in zip(FLOAT32_PRODUCTS, allowed, strict=True):
            products.fp32_precision = precision
