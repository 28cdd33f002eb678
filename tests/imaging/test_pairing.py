"""Which picture belongs to which image."""

from pathlib import Path

import pytest

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging import find_picture


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("baby", "baby.png"),
        ("baby", "baby_RCAN_x2.png"),
        ("baby", "babyx2.png"),
        ("baby_HR_x2", "baby_LRBI_x2.png"),
        ("img_001", "img_001_SwinIR.png"),
        ("img_001_SRF_2_HR", "img_001_SRF_2_LR.png"),
        ("photo_A", "photo_A_RDN_x2.png"),
    ],
)
def test_names_that_belong_together(name: str, picture: str) -> None:
    others = [Path("else.png"), Path("img_002_SwinIR.png"), Path("photo_B_RDN_x2.png"), Path("babyish.png")]
    assert find_picture([*others, Path(picture)], name, 2) == Path(picture)


def test_the_exact_name_wins() -> None:
    assert find_picture([Path("a_RCAN_x2.png"), Path("a.png")], "a", 2) == Path("a.png")


def test_another_scale_is_another_picture() -> None:
    with pytest.raises(DataError, match="holds no picture of 'a'"):
        find_picture([Path("a_RCAN_x4.png")], "a", 2)


def test_two_candidates_are_refused() -> None:
    with pytest.raises(DataError, match="leave one per image"):
        find_picture([Path("a_RCAN_x2.png"), Path("a_RDN_x2.png")], "a", 2)
