"""The tensors of a weight file as people have them: the right set out of its wrappers, as float32, and sane."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mcnet_lightning.errors import WeightsError

# where training codes put the tensors of a checkpoint; averaged weights are the ones to use
AVERAGED = ("params_ema", "params-ema", "ema", "model_ema", "ema_state_dict", "state_dict_ema")
WRAPPERS = ("state_dict", "model_state_dict", "params", "model", "net", "network", "generator", "netG", "net_g")
DEEPEST = 3  # wrappers in wrappers
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and torch.compile, before every name
COUNTER = "n_averaged"  # of torch's AveragedModel, beside its tensors
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COUNTS = (torch.int32, torch.int64, torch.bool)  # of buffers: counters, index tables, masks
Trail = tuple[str, ...]
LARGEST = 1e6  # magnitude; those of trained networks, running variances included, stay below 1e5


def tensors_of(path: Path, content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The one set of tensors in what a file holds, without the names of its wrappers, floating-point ones as float32.

    Raises WeightsError if there are several that differ, and for numbers that no network has: NaN, Inf, above 1e6, and
    others than float16, bfloat16, float32 and float64 where a network needs these.
    """
    found = list(_sets(content))
    averaged = [each for each in found if set(each[0]) & set(AVERAGED)]
    found = averaged or found
    for _, tensors in found:
        for name, tensor in tensors.items():
            _check_kind(path, name, tensor)
    trail, tensors = found[0]
    for other, others in found[1:]:
        if not _equal(tensors, others):
            raise WeightsError(
                f"{path} holds several sets of tensors ({'.'.join(trail)} and {'.'.join(other)}), and nothing tells "
                "which is meant; save the right one alone"
            )
    tensors = _without_prefixes(tensors)
    for name, tensor in tensors.items():
        _check_numbers(path, name, tensor)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def below(path: Path, tensors: Mapping[str, Tensor], anchor: str) -> dict[str, Tensor]:
    """The tensors of the network that holds `anchor`: all of them, or those of one prefix ("model.") without it.

    Raises WeightsError if there are several such networks in the file.
    """
    prefixes = [name.removesuffix(anchor) for name in tensors if name == anchor or name.endswith(f".{anchor}")]
    if not prefixes or "" in prefixes:
        return dict(tensors)
    networks = [
        {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        for prefix in prefixes
    ]
    if any(not _equal(networks[0], network) for network in networks[1:]):
        raise WeightsError(
            f"{path} holds several networks ({' and '.join(prefix.rstrip('.') for prefix in prefixes)}), and nothing "
            "tells which is meant; save the right one alone"
        )
    return networks[0]


def _sets(content: Mapping[Any, Any], trail: Trail = ()) -> Iterator[tuple[Trail, dict[str, Tensor]]]:
    """Every set of tensors and the wrappers that it lies in, at least one."""
    inner = [name for name in (*AVERAGED, *WRAPPERS) if isinstance(content.get(name), Mapping)]
    if inner and len(trail) < DEEPEST:
        sets = [each for name in inner for each in _sets(content[name], (*trail, name))]
        filled = [each for each in sets if each[1]]
        yield from filled or sets[:1]
    else:
        yield trail, {str(name): value.detach() for name, value in content.items() if isinstance(value, Tensor)}


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for _ in range(DEEPEST):
        names = [name for name in tensors if name != COUNTER]
        prefix = next((prefix for prefix in PREFIXES if names and all(name.startswith(prefix) for name in names)), None)
        if prefix is None:
            break
        tensors = {name.removeprefix(prefix): tensors[name] for name in names}
    return tensors


def _equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _check_kind(path: Path, name: str, tensor: Tensor) -> None:
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise WeightsError(f"{path}: {name} is no plain tensor; save the network's state_dict in float32")
    if tensor.dtype not in (*FLOATS, *COUNTS):
        raise WeightsError(f"{path}: {name} holds {kind} numbers; save the network's state_dict in float32")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise WeightsError(f"{path}: {name} claims more numbers than the file holds; get it again")


def _check_numbers(path: Path, name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point() or not tensor.numel():
        return
    largest = float(tensor.abs().max())
    if largest <= LARGEST:
        return
    found = "NaN" if largest != largest else "Inf" if largest == float("inf") else f"numbers up to {largest:.1e}"
    raise WeightsError(f"{path}: {name} holds {found}, which no trained network does; train it again or get it again")
