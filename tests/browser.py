"""A headless browser for the tests of pages."""

import shutil
from typing import Any

import pytest


def launched(playwright: Any) -> Any:
    """Playwright's own Chromium, or the system's; skips the test where there is none."""
    system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        return playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
    except Exception as error:
        pytest.skip(f"no browser: {str(error).splitlines()[0]}")
