"""A whole report: its files, and one page that needs nothing from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import launched
from PIL import Image
from run_folders import IMAGES, make_run

from mcnet_lightning.reporting import report
from mcnet_lightning.reporting.crops import crop_strip, pictured
from mcnet_lightning.reporting.report import write_report
from mcnet_lightning.reporting.runs import read_runs
from mcnet_lightning.reporting.tables import Table


def make_runs(folder: Path) -> Path:
    """Two tolerances, with traces and pictures."""
    rng = np.random.default_rng(0)
    for tolerance in (1e-4, 1e-5):
        run = make_run(folder / f"<{tolerance:g}>", {"solver": {"tolerance": tolerance}})
        rows = "".join(f"Set5,baby,mcnet,{n},{10.0**-n}\n" for n in (1, 2, 3))
        (run / "traces.csv").write_text(f"dataset,image,method,evaluation,residual\n{rows}")
        (run / "pictures").mkdir()
        for image in IMAGES[:2]:
            for kind, side in {"bicubic": 64, "backbone": 64, "mcnet": 64, "hr": 64, "lr": 32}.items():
                pixels = rng.integers(0, 256, (side, side), dtype=np.uint8)
                Image.fromarray(pixels).save(run / "pictures" / f"Set5_{image}_{kind}.png")
    return folder


FETCHED = ("src", "href", "xlink:href", "data", "srcset", "action")


class Resources(HTMLParser):
    """Everything that a browser would fetch for a page, outside of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in FETCHED]


def test_page_is_self_contained(tmp_path: Path) -> None:
    write_report([str(make_runs(tmp_path / "runs"))], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    parser = Resources()
    parser.feed(page)
    assert parser.found
    assert all(value == "" or value.startswith(("data:", "#")) for value in parser.found), parser.found
    style = "".join(re.findall(r"<style.*?</style>", page, re.DOTALL))
    assert "@import" not in style
    assert "url(" not in style
    assert "<1e-05>" not in page  # names are escaped


def test_page_has_every_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MANY_RUNS", 2)
    monkeypatch.setattr(report, "explore_html", lambda rows: "<p>plots</p>")
    monkeypatch.setattr(report, "place_of", lambda name: name == "plotly" or None)
    write_report([str(make_runs(tmp_path / "runs"))], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    for section in ("table2_quality", "table1_consistency", "gains", "runs", "explore", "pictures", "crops"):
        assert f'id="{section}"' in page
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"table2_quality.md", "table2_quality.tex", "table2_quality.csv", "gains.md", "crop_00.png"} <= names


def test_a_page_of_two_runs_stays_small_and_says_which_pictures_it_left_out(tmp_path: Path) -> None:
    folder = make_runs(tmp_path / "runs")
    rng = np.random.default_rng(1)
    for path in folder.rglob("*.png"):
        Image.fromarray(rng.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(path)  # worse to store than any photo
    write_report([str(folder)], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert len(page) < 2e6
    assert "more are in the runs' folders" in page
    runs = page[page.index('id="run-table"') : page.index('id="pictures"')]
    assert "<b>" in runs


def test_the_best_of_each_column_and_scale() -> None:
    rows = [["x2", "a", "31.5", "2e-3"], ["x2", "b", "32.5", "1e-5"], ["x4", "a", "27", ""], ["x4", "b", "27", "1"]]
    table = Table("t", "T.", ["scale", "method", "PSNR", "consistency"], rows)
    assert table.best() == {(1, 2), (1, 3), (2, 2), (3, 2)}


def test_missing_plotting_packages_leave_tables_and_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MANY_RUNS", 1)
    monkeypatch.setattr(report, "place_of", lambda name: None)
    write_report([str(make_run(tmp_path / "run"))], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Without matplotlib there are no curves" in page
    assert "Without plotly there are no interactive plots" in page
    assert (tmp_path / "out" / "gains.csv").is_file()


def test_figures_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    runs = make_runs(tmp_path / "runs")
    for name in ("one", "two"):
        write_report([str(runs)], tmp_path / name)
    for figure in ("curve_tolerance.svg", "convergence.svg"):
        assert (tmp_path / "one" / figure).read_text().startswith("<svg")
        assert (tmp_path / "one" / figure).read_bytes() == (tmp_path / "two" / figure).read_bytes()


def test_crop_is_where_mcnet_improved_most(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "pictures").mkdir()
    hr = np.zeros((96, 128), dtype=np.uint8)
    backbone, mcnet = hr.copy(), hr.copy()
    backbone[40:88, 70:118] = 200  # wrong there, and right after the layer
    mcnet[:20, :20] = 60
    for kind, pixels in {"hr": hr, "backbone": backbone, "mcnet": mcnet, "lr": hr[::2, ::2]}.items():
        Image.fromarray(pixels).save(run / "pictures" / f"Set5_baby_{kind}.png")
    (item,) = pictured(read_runs([run]))
    strip = crop_strip(item)
    assert strip is not None
    panels = np.asarray(strip)[30:-10]
    width = panels.shape[1] // 4
    assert (panels[:, width + 20 : 2 * width - 20] == 200).mean() == 1.0  # the backbone's panel is all wrong


@pytest.mark.slow
def test_page_works_in_a_browser_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorts, filters, moves the divider, draws both plots, and asks nobody for anything."""
    monkeypatch.setattr(report, "MANY_RUNS", 2)
    sync_api = pytest.importorskip("playwright.sync_api")
    pytest.importorskip("plotly")
    write_report([str(make_runs(tmp_path / "runs"))], tmp_path / "out")
    with sync_api.sync_playwright() as playwright:
        browser = launched(playwright)
        page, asked, errors = browser.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "out" / "index.html").as_uri(), timeout=120_000)
        place = page.locator("#run-table th").all_inner_texts().index("PSNR") + 1
        column = f"#run-table tbody tr:not([hidden]) td:nth-child({place})"
        page.click(f"#run-table th:nth-child({place})")
        assert (up := page.locator(column).all_inner_texts()) == sorted(up, key=float)
        page.click(f"#run-table th:nth-child({place})")
        assert page.locator(column).all_inner_texts() == up[::-1]
        page.fill("#filter", "mcnet x2")
        assert page.locator("#run-table tbody tr:visible").count() == 2
        page.locator("#slider").fill("20")
        assert "80%" in page.locator("#before-picture").evaluate("e => e.style.clipPath")
        page.select_option("#before", "bicubic")
        assert page.locator("#before-caption").inner_text().startswith("bicubic")
        page.locator("#scatter .scatterlayer").wait_for(state="attached")
        assert page.locator("#parallel .parcoords").count() > 0
        assert page.locator("#scatter .scatterlayer").count() > 0
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        browser.close()
    assert not errors
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
