"""Where half precision pays, where nothing less than full precision will do, and where float64 is to be had."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from operator import attrgetter
from threading import Lock

import torch
from torch import Tensor

CPU_PROBES = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # PyTorch has no public ones
FLOAT32_PRODUCTS = attrgetter("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")(
    torch.backends
)


@cache
def half_pays(device: torch.device) -> bool:
    """Whether bfloat16 convolutions are at least twice as fast as float32 there: CPUs with AMX or AVX512-BF16, GPUs
    with bf16 units. Elsewhere they are emulated, and slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in CPU_PROBES)


def doubled(x: Tensor) -> Tensor:
    """x in float64: where it lies, or on the CPU if its device has no such numbers, as Apple's GPUs."""
    return (x.cpu() if x.device.type == "mps" else x).double()


class _Float32AsSuch:
    """Float32 products are computed as such from when the first thread enters until the last one leaves.

    PyTorch has older names for two of these settings, `torch.backends.cudnn.allow_tf32` and
    `torch.set_float32_matmul_precision`, and refuses to be asked for them while they say something else.
    """

    def __init__(self) -> None:
        self.lock, self.inside = Lock(), 0
        self.allowed: list[str] = []
        self.older: tuple[bool, str] = (False, "highest")

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.allowed = [products.fp32_precision for products in FLOAT32_PRODUCTS]
                _allow(["ieee"] * len(FLOAT32_PRODUCTS))
                self.older = _older_names()  # with nothing allowed, what they say can be told even where they disagreed
                _say_by_older_names(False, "highest")
                _allow(["ieee"] * len(FLOAT32_PRODUCTS))
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                _say_by_older_names(*self.older)
                _allow(self.allowed)


def _allow(precisions: list[str]) -> None:
    for products, precision in zip(FLOAT32_PRODUCTS, precisions, strict=True):
        products.fp32_precision = precision


def _older_names() -> tuple[bool, str]:
    """What the older names say, while the newer ones say that nothing is allowed."""
    try:
        tf32 = torch.backends.cudnn.allow_tf32
    except RuntimeError:  # it would say True
        tf32 = True
    return tf32, torch.get_float32_matmul_precision()


def _say_by_older_names(tf32: bool, matmul: str) -> None:
    torch.backends.cudnn.allow_tf32 = tf32
    torch.set_float32_matmul_precision(matmul)


_FLOAT32_AS_SUCH = _Float32AsSuch()


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast, and products of float32 numbers computed as such, whatever the process allows them elsewhere.

    TF32, cuDNN's default for convolutions, keeps 10 bits of them: the iteration then stalls at a residual of 3e-4, and
    A x misses b.
    """
    with _FLOAT32_AS_SUCH, torch.autocast(device.type, enabled=False):
        yield
