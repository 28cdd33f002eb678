"""Finds the picture that belongs to an image: `baby_RCAN_x2.png` to `baby`, `baby_HR_x2` to `baby_LRBI_x2`."""

import re
from collections.abc import Sequence
from pathlib import Path

from mcnet_lightning.errors import DataError, printable
from mcnet_lightning.files.naming import RESERVED, picture_names

_KIND = re.compile(r"[_-](?=[A-Za-z0-9+]*[A-Z])[A-Za-z][A-Za-z0-9+]*$")  # _HR, _LRBI, _RCAN, -SwinIR


def find_picture(pictures: Sequence[Path], name: str, scale: int) -> Path:
    """The picture of the image `name`: of the same name, or alike but for a scale (`_x2`, `x2`) and then a kind
    (`_HR`, `_RCAN`) at the end of either. Raises DataError if there is none, or more than one equally good.
    """
    named = dict(zip(picture_names(pictures, RESERVED), pictures, strict=True))
    if name in named:  # also where only the suffix tells two apart
        return named[name]
    for form in _forms(name, scale):
        exact = [picture for picture in pictures if printable(picture.stem) == form]
        found = exact or [picture for picture in pictures if form in _forms(printable(picture.stem), scale)]
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(
                f"{', '.join(picture.name for picture in found[:3])} in {found[0].parent} all look like the picture of "
                f"{name!r}; leave one per image"
            )
    folder = pictures[0].parent if pictures else "an empty folder"
    raise DataError(f"{folder} holds no picture of {name!r}; call it {name}.png or {name}_METHOD_x{scale}.png")


def _forms(stem: str, scale: int) -> list[str]:
    """A name as it is, without its scale, and without its kind; the most specific first."""
    without_scale = re.sub(rf"[_-]?x{scale}$", "", stem)
    forms = [stem, without_scale, _KIND.sub("", without_scale)]
    return list(dict.fromkeys([*forms, *(word for word in RESERVED if stem == f"{word}_")]))
