"""What operators compute once per size: kept while it is used, bounded by bytes."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from torch import Tensor


class ByteCache:
    """Values by group and key. Beyond `limit` bytes the groups that were not used for longest are dropped, but for the
    `newest` ones: a picture that is larger than the limit must not compute its factors again at every use.

    A group is what is used together, such as the factors of one axis. None is no value.
    """

    def __init__(self, limit: int, newest: int = 4) -> None:
        self.limit, self.newest = limit, newest
        self.groups: OrderedDict[Hashable, dict[Hashable, Any]] = OrderedDict()
        self.bytes = 0
        self.lock = Lock()

    def find(self, group: Hashable, key: Hashable) -> Any:
        """The value of (group, key), or None."""
        with self.lock:
            if (values := self.groups.get(group)) is None:
                return None
            self.groups.move_to_end(group)
            return values.get(key)

    def keep(self, group: Hashable, key: Hashable, made: Any) -> Any:
        """The value of (group, key) from now on: `made`, unless another thread was faster."""
        with self.lock:
            values = self.groups.setdefault(group, {})
            self.groups.move_to_end(group)
            if key not in values:
                values[key] = made
                self.bytes += _size(made)
                while self.bytes > self.limit and len(self.groups) > self.newest:
                    _, dropped = self.groups.popitem(last=False)
                    self.bytes -= sum(_size(value) for value in dropped.values())
            return values[key]


@contextmanager
def lasting() -> Iterator[None]:
    """Tensors made within it can be saved for a backward pass, whoever asked for them first."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def _size(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if hasattr(value, "tables"):
        return 2 * _size(value.tables)  # with the copies in other precision that are made when they are used
    if isinstance(value, dict):
        return _size(value.values())
    return sum(map(_size, value)) if isinstance(value, Iterable) else 0


CONSTANTS = ByteCache(limit=64 * 2**20)
