"""What a configuration key is."""

from dataclasses import field
from typing import Any


def key(default: Any, meaning: str, **limits: Any) -> Any:
    """A configuration key: default (MISSING: to be given), meaning, and limits that are checked.

    `choices`, `minimum`, `maximum`: of a value, or of each item of a list; `exclusive` (or `exclusive_minimum`) leaves
    the minimum itself out, `exclusive_maximum` the maximum. `path="file"`, `"folder"` or `"files"`, either of them:
    what must exist, unless the value is one of `words`.
    `content=False`: no result depends on it, so that a finished job of a sweep stays finished whatever its value.
    """
    metadata = {"help": meaning, **limits}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)
