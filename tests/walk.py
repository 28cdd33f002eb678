"""Counts where one run of `train` goes back up: PYTHONPATH=src python tests/walk.py experiment=tiny [KEY=VALUE ...]

A walk from `train.run` down goes from file to file as the calls do. It goes back up where a file of this package calls
one that is still open above it, through this package's files alone: the reader would have to turn back to a file that
he came from. Calls through Lightning and PyTorch count too. Prints the files that were entered and those pairs.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

from omegaconf import DictConfig

import mcnet_lightning
from mcnet_lightning import train

ROOT = Path(mcnet_lightning.__file__).parent
seen, entered, back = set[tuple[CodeType | None, CodeType]](), set[str](), dict[tuple[str, str], str]()


def place(code: CodeType) -> str | None:
    """The file of this package; None for other code, and for what runs because it is imported."""
    path = code.co_filename
    return path.removeprefix(f"{ROOT}/") if path.startswith(f"{ROOT}/") and code.co_name != "<module>" else None


def open_files(frame: FrameType | None) -> Iterator[str]:
    """From the innermost call outwards."""
    while frame is not None and frame.f_code is not RUN.__code__:
        if (file := place(frame.f_code)) is not None:
            yield file
        frame = frame.f_back


def note(frame: FrameType, event: str, _: object) -> None:
    code, caller = frame.f_code, frame.f_back
    key = (caller.f_code if caller else None, code)
    if key in seen or code is RUN.__code__ or (file := place(code)) is None:
        return
    seen.add(key)
    entered.add(file)
    above = list(open_files(caller))
    if above and above[0] != file and file in above:
        back.setdefault((above[0], file), code.co_qualname)


def run(config: DictConfig) -> None:
    sys.settrace(note)
    try:
        RUN(config)
    finally:
        sys.settrace(None)
    print(f"{len(entered)} files entered, {len(back)} ways back up")
    for (below, file), name in sorted(back.items()):
        print(f"{below} -> {file}: {name}")


if __name__ == "__main__":
    RUN, train.run = train.run, run
    train.main()
