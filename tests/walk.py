"""Counts where one run of `train` goes back up: PYTHONPATH=src python tests/walk.py experiment=tiny [KEY=VALUE ...]

A walk from `train.run` down goes from file to file as the calls do. It goes back up where a file of this package calls
one that is still open above it, through this package's files alone: the reader would have to turn back to a file that
he came from. Calls through Lightning and PyTorch count too. Prints the files that were entered and those pairs.
"""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

from omegaconf import DictConfig

import mcnet_lightning
from mcnet_lightning import train

ROOT = f"{Path(mcnet_lightning.__file__).parent}/"


@cache
def place(code: CodeType) -> str | None:
    """The file of this package; None for other code, and for what runs because it is imported."""
    path = code.co_filename
    return path.removeprefix(ROOT) if path.startswith(ROOT) and code.co_name != "<module>" else None


def open_files(frame: FrameType | None, top: CodeType) -> list[str]:
    """From the innermost call outwards."""
    found = []
    while frame is not None and frame.f_code is not top:
        if (file := place(frame.f_code)) is not None:
            found.append(file)
        frame = frame.f_back
    return found


def walk(task: Callable[[DictConfig], None], config: DictConfig) -> tuple[set[str], dict[tuple[str, str], str]]:
    """Files that were entered, and the ways back up: (from, to) with what was called there."""
    entered, back = set[str](), dict[tuple[str, str], str]()
    top = task.__code__

    def note(frame: FrameType, event: str, _: object) -> None:
        file = place(frame.f_code)
        if file is None or frame.f_code is top:
            return
        entered.add(file)
        above = open_files(frame.f_back, top)
        if above and above[0] != file and file in above:
            back.setdefault((above[0], file), frame.f_code.co_qualname)

    sys.settrace(note)
    try:
        task(config)
    finally:
        sys.settrace(None)
    return entered, back


def main() -> None:
    task = train.run

    def run(config: DictConfig) -> None:
        entered, back = walk(task, config)
        print(f"{len(entered)} files entered, {len(back)} ways back up")
        for (below, file), name in sorted(back.items()):
            print(f"{below} -> {file}: {name}")

    train.run = run
    train.main()


if __name__ == "__main__":
    main()
