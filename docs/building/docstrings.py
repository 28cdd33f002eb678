"""Lines `name: meaning` of a docstring, as this package writes them, become a list."""

import re
from typing import Any

from griffe import Extension, Object

LINE = re.compile(r"^( *)(\w+): +(\S.*(?:\n\1 +\S.*)*)", re.MULTILINE)
SECTIONS = ("Args", "Returns", "Raises", "Yields")


class Meanings(Extension):  # type: ignore[misc]  # of a package that the checks do not need
    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring and not re.search(rf"^(?:{'|'.join(SECTIONS)}):$", obj.docstring.value, re.MULTILINE):
            obj.docstring.value = LINE.sub(_item, obj.docstring.value)


def _item(match: re.Match[str]) -> str:
    return f"\n- `{match[2]}`: {' '.join(match[3].split())}"
