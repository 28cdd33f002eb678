"""The page behind an address, until Ctrl-C; what visitors uploaded goes when it ends."""

import logging
import os
import signal
import tempfile
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from mcnet_lightning.data.sources import EMBEDDED, image_paths
from mcnet_lightning.demonstration.guard import Guard
from mcnet_lightning.demonstration.restoring import Demonstrator
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files import write_file
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.restoration import Picture, read_picture
from mcnet_lightning.restoration.writing import encode

SHRUNK = 4
MEGABYTE = 2**20
ENVELOPE = 2**16  # bytes of a request around the picture in it
MAX_STORE = 2**31  # bytes of uploads and results that are kept at a time


def serve(host: str, port: int, max_megabytes: float, max_megapixels: float, device: str) -> None:
    """Serves the page and waits. Raises ConfigError if the address cannot be had."""
    from mcnet_lightning.demonstration.page import STYLE, THEME, build_page

    logging.getLogger("httpx").setLevel(logging.WARNING)  # which tells of every request of gradio's own
    with tempfile.TemporaryDirectory(prefix="mcnet-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        limits = f"up to {max_megabytes:g} MB; results up to {max_megapixels:g} megapixels, larger ones are shrunk"
        store = Path(folder)
        demonstrator = Demonstrator(max_megapixels, device, store, MAX_STORE)
        page = build_page(demonstrator, limits, example_pictures(store))
        try:
            page.launch(
                server_name=host,
                server_port=port,
                share=False,
                quiet=True,
                ssr_mode=False,
                prevent_thread_lock=True,
                max_file_size=int(max_megabytes * MEGABYTE),
                footer_links=[],
                app_kwargs={"middleware": [_guard(host, store, max_megabytes)]},
                theme=THEME,
                css=STYLE,
            )
        except OSError as error:
            raise ConfigError(f"host={host} port={port}: cannot serve there ({error}); choose another port") from None
        print(f"open http://{host}:{port} in a browser; Ctrl-C ends", flush=True)
        if not is_loopback(host):
            print(f"warning: host={host} lets everybody in who can reach this machine", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, and takes the folder along
        try:
            threading.Event().wait()
        finally:
            page.close(verbose=False)


def _guard(host: str, store: Path, max_megabytes: float) -> Any:
    from starlette.middleware import Middleware

    return Middleware(
        Guard,
        host=host,
        loopback=is_loopback(host),
        store=store,
        max_body=int(max_megabytes * MEGABYTE) + ENVELOPE,
        max_store=MAX_STORE,
    )


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def example_pictures(folder: Path) -> list[Path]:
    """Low-resolution pictures to try: the embedded photographs, cut to whole blocks and shrunk."""
    paths = []
    for source in image_paths(EMBEDDED, "test"):
        colour = read_picture(source).colour
        height, width = (side // SHRUNK * SHRUNK for side in colour.shape[-2:])
        shrunk = Picture(BicubicDownsample(SHRUNK)(colour[None, :, :height, :width])[0])
        paths.append(folder / source.name)
        write_file(paths[-1], encode(shrunk, "png8"))
    return paths
