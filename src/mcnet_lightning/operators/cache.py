"""What operators compute once per size: kept while it is used, bounded by bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from threading import RLock
from typing import Any

import torch
from torch import Tensor


class ByteCache:
    """Values by group and key. Beyond `limit` bytes the groups that were not used for longest are dropped, but for the
    `newest` ones: a picture that is larger than the limit must not compute its factors again at every use.

    A group is what is used together, such as the factors of one axis. Values are made outside inference mode, so that
    they can be saved for a backward pass whoever asked for them first, and under a lock.
    """

    def __init__(self, limit: int, newest: int = 4) -> None:
        self.limit, self.newest = limit, newest
        self.groups: OrderedDict[Hashable, dict[Hashable, Any]] = OrderedDict()
        self.bytes = 0
        self.lock = RLock()

    def get(self, group: Hashable, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of (group, key), made by `make` if it is not there."""
        with self.lock:
            values = self.groups.setdefault(group, {})
            self.groups.move_to_end(group)
            if key not in values:
                with torch.inference_mode(False), torch.no_grad():
                    made = make()
                self.groups.setdefault(group, values)[key] = made  # `make` may have dropped the group
                self.groups.move_to_end(group)
                self.bytes += _size(made)
                self._drop()
            return values[key]

    def _drop(self) -> None:
        while self.bytes > self.limit and len(self.groups) > self.newest:
            _, values = self.groups.popitem(last=False)
            self.bytes -= sum(_size(value) for value in values.values())


def _size(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if hasattr(value, "tables"):
        return 2 * _size(value.tables)  # with the copies in other precision that are made when they are used
    if isinstance(value, dict):
        return _size(value.values())
    return sum(map(_size, value)) if isinstance(value, Iterable) else 0


CONSTANTS = ByteCache(limit=64 * 2**20)
