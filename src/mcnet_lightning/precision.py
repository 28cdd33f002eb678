"""Where half precision pays."""

from functools import cache

import torch


@cache
def half_pays(device: torch.device) -> bool:
    """Whether bfloat16 convolutions are several times as fast as float32 there: CPUs with AMX, GPUs with bf16 units."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)  # no public one says AMX
    return device.type == "cpu" and probe is not None and bool(probe())
