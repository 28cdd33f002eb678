"""The demo page for real: served by the command, used in a headless browser."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import launched
from PIL import Image

from mcnet_lightning import certify
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.equilibrium.epsilon import UNITS

pytest.importorskip("gradio")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str], Path]]:
    """The address of a page with small limits, its process, and the folder of its temporary files."""
    (tmp_path / "temporary").mkdir()
    words = [f"port={free_port()}", "max_megabytes=0.5", "max_megapixels=0.2", "device=cpu"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    command = [sys.executable, "-m", "mcnet_lightning.demo", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        address = re.match(r"open (http://127\.0\.0\.1:\d+) in a browser; Ctrl-C ends", first)
        assert address, first
        yield address[1], process, tmp_path / "temporary"
    finally:
        process.kill()
        process.wait()


def test_the_page_offers_every_unit_of_epsilon() -> None:
    from mcnet_lightning.demonstration import page

    assert {unit for _, unit in page.UNITS} == set(UNITS)


@pytest.mark.slow
def test_a_photograph_is_restored_seen_and_downloaded(
    server: tuple[str, subprocess.Popen[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    from skimage import data

    address, process, temporary = server
    given = tmp_path / "cat.png"
    Image.fromarray(data.chelsea()[40:280, 80:400]).resize((80, 60), Image.Resampling.BICUBIC).save(given)
    Image.open(given).save(tmp_path / "photo.jpg", quality=60)
    (tmp_path / "fake.png").write_text("no picture")
    Image.new("RGB", (300, 300)).save(tmp_path / "wide.png")
    (tmp_path / "heavy.png").write_bytes(os.urandom(2**20))
    with sync_api.sync_playwright() as playwright:
        browser = launched(playwright)
        page, asked, errors = browser.new_page(), [], []
        page.set_default_timeout(120_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        status, upload = page.locator("#status"), "#upload input[type=file]"

        def restore(path: Path | None, answer: str) -> None:
            if path is not None:
                page.set_input_files(upload, path)
                page.locator("#upload").get_by_text(path.name).wait_for()
            page.click("#restore")
            status.get_by_text(answer).wait_for()
            assert "Traceback" not in page.content()

        restore(None, "there is no picture yet")
        page.get_by_label("shrink large pictures").uncheck()
        refused = {"fake": "cannot be read as an image", "wide": "300 x 300 pixels, more than the 0.05 mill"}
        for name, answer in refused.items():
            restore(tmp_path / f"{name}.png", answer)
            assert str(temporary) not in status.inner_text()
            page.locator("#upload button[aria-label=Clear]").click()
            page.locator("#upload").get_by_text("Drop File Here").wait_for()
        page.set_input_files(upload, tmp_path / "heavy.png")
        page.get_by_text(re.compile("exceed the maximum allowed size")).first.wait_for()

        page.reload()
        restore(tmp_path / "wide.png", "The float TIFF agrees with your picture")  # shrunk, as the page offers
        page.reload()
        restore(tmp_path / "photo.jpg", "The float TIFF agrees with your picture")
        assert "within epsilon=0:" not in status.inner_text()  # what its tables tell
        page.locator("#epsilon textarea, #epsilon input").fill("much")
        restore(None, "epsilon is 'much', which is no number")
        page.reload()
        page.locator("#scale label").filter(has_text="4").click()
        restore(given, "The float TIFF agrees with your picture")
        assert "LR-PSNR" in status.inner_text()
        slider = page.locator("#slider-backbone")
        assert slider.locator("img").count() == 2
        handle = slider.locator(".handle, .inner, [role=slider]").first
        before = handle.bounding_box()
        page.mouse.move(before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
        page.mouse.down()
        page.mouse.move(before["x"] + 60, before["y"] + before["height"] / 2, steps=4)
        page.mouse.up()
        assert handle.bounding_box()["x"] > before["x"] + 20
        page.get_by_role("tab", name="your picture | MCNet").click()
        page.locator("#slider-lr img").first.wait_for()
        assert "bicubic-x4-truncated" in page.locator("#certificates").inner_text()
        for link in page.locator("#downloads a").all():
            with page.expect_download() as waiting:
                link.click()
            waiting.value.save_as(tmp_path / waiting.value.suggested_filename)
        browser.close()
    assert not errors
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)  # nobody else is told anything
    for suffix in ("png", "tiff"):
        words = [f"image={tmp_path / f'cat_x4.{suffix}'}", f"measurement={given}"]
        certify.run(compose_config("certify", words))
        assert "certificate agrees" in capsys.readouterr().out
    assert any(temporary.rglob("cat.png"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    assert not any(path.is_file() for path in temporary.rglob("*"))


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "mcnet_lightning.demo", f"port={port}"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith(f"error: host=127.0.0.1 port={port}: cannot serve there")
    assert "Traceback" not in done.stderr
