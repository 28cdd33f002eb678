"""The documentation's table of backbones is the one that the code makes."""

from pathlib import Path

from mcnet_lightning.backbones import networks
from mcnet_lightning.backbones.catalogue import MARKS, backbone_table, write_table

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "backbones.md"


def test_the_page_holds_the_table_that_the_code_makes() -> None:
    assert f"{MARKS[0]}\n{backbone_table()}\n{MARKS[1]}" in PAGE.read_text()


def test_every_backbone_has_a_row() -> None:
    table = backbone_table()
    assert all(f"| `{name}` |" in table for name in networks())


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    write_table(page)
    assert page.read_text() == f"before\n{MARKS[0]}\n{backbone_table()}\n{MARKS[1]}\nafter\n"
