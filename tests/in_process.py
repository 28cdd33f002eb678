"""Commands through their own door, in this process: what `python -m` does, without seconds of imports for each."""

import contextlib
import importlib
import io
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from mcnet_lightning.files import writing


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


def command(folder: Path, module: str, *words: str) -> Ended:
    """Runs the command in `folder` and leaves the process as it was."""
    root, environment, code = logging.getLogger(), dict(os.environ), 0
    handlers, level = root.handlers[:], root.level
    writing._remove_leftovers.cache_clear()  # what is looked after once per process
    out, error = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        patch.chdir(folder)
        patch.setattr(sys, "argv", [f"{module}.py", *words])
        try:
            importlib.import_module(f"mcnet_lightning.{module}").main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            root.handlers, root.level = handlers, level
            torch.set_flush_denormal(False)
            os.environ.clear()
            os.environ.update(environment)
    return Ended(code, out.getvalue(), error.getvalue())
